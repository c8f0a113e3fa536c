package keyring

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	// attemptTimeout ends an attempt that KMS does not answer. A usual answer takes some ten milliseconds.
	attemptTimeout = time.Second
	// maxAttempts is how often a request is sent. With the pauses between them, three attempts fit loadTimeout.
	maxAttempts = 3
	// pause is before the second attempt and the third. The SDK's own goes to seconds.
	pause = 200 * time.Millisecond
)

var errNoKeyARN = errors.New("no KMS key is configured")

// KMS returns a key-encryption key that never leaves KMS, called in cfg's region with cfg's credentials. It touches
// nothing yet. Where keyARN is empty nothing is sealed or opened, and nobody is asked.
//
// The associated data is the encryption context {"associatedData": its hex}. A role's policy can demand it by
// kms:EncryptionContext:associatedData, and KMS opens a ciphertext only with the key and the context that it was sealed
// with. That is the format of tink-go-awskms, version 3, which is not used for its weight: it links the SDK's config with
// every way to sign in.
func KMS(cfg aws.Config, keyARN string, options ...func(*kms.Options)) tink.AEADWithContext {
	defaults := func(o *kms.Options) {
		o.HTTPClient = &http.Client{
			Transport: redial{awshttp.NewBuildableClient().GetTransport()}, Timeout: attemptTimeout, CheckRedirect: stay,
		}
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
	}
	client := kms.NewFromConfig(cfg, append([]func(*kms.Options){defaults}, options...)...)
	return &kmsKEK{client, keyARN}
}

// redial closes the connections that are kept when an attempt fails. A function that was frozen finds all of them dead,
// since the time after which they would be closed stands still meanwhile. Each further attempt would take the next dead
// one; so it opens its own.
type redial struct{ *http.Transport }

func (r redial) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.Transport.RoundTrip(request)
	if err != nil {
		r.CloseIdleConnections()
	}
	return answer, err
}

// stay follows no redirect: KMS has none to give.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type kmsKEK struct {
	client *kms.Client
	keyARN string
}

func (k *kmsKEK) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	if k.keyARN == "" {
		return nil, errNoKeyARN
	}
	out, err := k.client.Encrypt(ctx, &kms.EncryptInput{
		KeyId: &k.keyARN, Plaintext: plaintext, EncryptionContext: encryptionContext(associatedData),
	})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

func (k *kmsKEK) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	if k.keyARN == "" {
		return nil, errNoKeyARN // without one KMS would use whichever key the ciphertext names
	}
	out, err := k.client.Decrypt(ctx, &kms.DecryptInput{
		KeyId: &k.keyARN, CiphertextBlob: ciphertext, EncryptionContext: encryptionContext(associatedData),
	})
	if err != nil {
		return nil, err
	}
	return out.Plaintext, nil
}

// encryptionContext is what KMS authenticates. The associated data is a purpose, and never empty.
func encryptionContext(associatedData []byte) map[string]string {
	return map[string]string{"associatedData": hex.EncodeToString(associatedData)}
}
