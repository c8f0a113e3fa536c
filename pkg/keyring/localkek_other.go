//go:build !unix

package keyring

import (
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/tink"
)

// LocalKEK refuses: this system's file modes do not tell who may read a key file.
func LocalKEK(path string) (tink.AEADWithContext, error) {
	return nil, fmt.Errorf("keyring: key file %s: %w: this system does not tell who may read it", path, errors.ErrUnsupported)
}
