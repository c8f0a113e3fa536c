package keyring_test

import (
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/tink-crypto/tink-go/v2/jwt"
)

func benchKeys(b *testing.B) *keyring.Keys {
	kek := newKEK(b)
	return mustKeys(b, keyring.New(created(b, kek, keyring.Purposes()...), kek, time.Now, keyring.Purposes()...))
}

func BenchmarkKeys(b *testing.B) {
	kek := newKEK(b)
	ring := keyring.New(created(b, kek, keyring.Purposes()...), kek, time.Now, keyring.Purposes()...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Keys(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen20Bytes(b *testing.B) {
	a := benchKeys(b).TOTP
	sealed, err := a.Encrypt(make([]byte, 20), []byte("user"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Decrypt(sealed, []byte("user")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPRF(b *testing.B) {
	p := benchKeys(b).Codes
	input := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Compute(p.PrimaryID(), input, 16); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := benchKeys(b).Signing
	subject, expires := "user", time.Now().Add(time.Hour)
	raw, err := jwt.NewRawJWT(&jwt.RawJWTOptions{Subject: &subject, ExpiresAt: &expires})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(raw); err != nil {
			b.Fatal(err)
		}
	}
}
