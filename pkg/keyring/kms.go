package keyring

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/thaw"
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
		o.HTTPClient = thaw.Client(attemptTimeout)
		o.RetryMaxAttempts = maxAttempts // also where cfg has another number
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = pause })
	}
	client := kms.NewFromConfig(cfg, append([]func(*kms.Options){defaults}, options...)...)
	return &kmsKEK{client.Encrypt, client.Decrypt, keyARN}
}

// kmsKEK holds two methods and not the client: a program that looks methods up by name, as the mailer's templates do, would
// be linked with all 50.
type kmsKEK struct {
	encrypt func(context.Context, *kms.EncryptInput, ...func(*kms.Options)) (*kms.EncryptOutput, error)
	decrypt func(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
	keyARN  string
}

func (k *kmsKEK) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	if k.keyARN == "" {
		return nil, errNoKeyARN
	}
	out, err := k.encrypt(ctx, &kms.EncryptInput{
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
	out, err := k.decrypt(ctx, &kms.DecryptInput{
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
