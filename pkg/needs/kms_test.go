package needs

import (
	"bytes"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// What the key ring relies on: what was sealed for one purpose does not open for another.
func TestKMS(t *testing.T) {
	t.Parallel()
	endpoint := KMS(t)
	if again := KMS(t); again != endpoint {
		t.Errorf("the second call starts another one: %q, then %q", endpoint, again)
	}
	client := kms.New(kms.Options{BaseEndpoint: &endpoint, Region: "eu-central-1", Credentials: anyone, RetryMaxAttempts: 1})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	purpose := func(name string) map[string]string { return map[string]string{"purpose": name} }
	sealed, err := client.Encrypt(t.Context(), &kms.EncryptInput{
		KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("a keyset"), EncryptionContext: purpose("totp"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.CiphertextBlob, []byte("a keyset")) {
		t.Errorf("sealed is %q", sealed.CiphertextBlob)
	}

	opened, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: purpose("totp")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(opened.Plaintext), "a keyset"; got != want {
		t.Errorf("opened with its context: %q, want %q", got, want)
	}
	for _, other := range []map[string]string{purpose("codes"), nil} {
		_, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: other})
		if invalid := (*types.InvalidCiphertextException)(nil); !errors.As(err, &invalid) {
			t.Errorf("opened with context %v: %v, want InvalidCiphertextException", other, err)
		}
	}
}
