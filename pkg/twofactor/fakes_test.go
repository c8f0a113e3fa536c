package twofactor

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// phone is an authenticator app, written from RFC 4226 §5.3 and RFC 6238 §4 alone, with a clock that may be off.
type phone struct {
	secret []byte
	off    time.Duration
}

func (p phone) at(t time.Time) string { return p.step(t.Add(p.off).Unix() / 30) }

func (p phone) step(step int64) string {
	mac := hmac.New(sha1.New, p.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	start := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[start:start+4])&0x7fffffff%1_000_000)
}

// wrong returns a code that belongs to no step within half an hour of now; another one for each i.
func (p phone) wrong(now time.Time, i int) string { return p.wrongs(now, i+1)[i] }

// wrongs returns n such codes.
func (p phone) wrongs(now time.Time, n int) (codes []string) {
	near := map[string]bool{}
	for step := now.Unix()/30 - 60; step <= now.Unix()/30+60; step++ {
		near[p.step(step)] = true
	}
	for i := 0; len(codes) < n; i++ {
		if code := fmt.Sprintf("%06d", i); !near[code] {
			codes = append(codes, code)
		}
	}
	return codes
}

// box is an AEAD for tests: AES-256-GCM with a random nonce in front.
type box struct{ gcm cipher.AEAD }

func newBox(key string) box {
	sum := sha256.Sum256([]byte(key))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return box{gcm}
}

func (b box) Encrypt(plaintext, associated []byte) ([]byte, error) {
	nonce := make([]byte, b.gcm.NonceSize())
	rand.Read(nonce)
	return b.gcm.Seal(nonce, nonce, plaintext, associated), nil
}

func (b box) Decrypt(sealed, associated []byte) ([]byte, error) {
	n := b.gcm.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("too short")
	}
	return b.gcm.Open(nil, sealed[:n], sealed[n:], associated)
}

// prf is backupcode.Keys for tests: HMAC-SHA-256, a key for each id up to the primary.
type prf struct{ primary uint32 }

func (p prf) PrimaryID() uint32 { return p.primary }

func (p prf) Compute(id uint32, input []byte, length int) ([]byte, error) {
	if id == 0 || id > p.primary {
		return nil, fmt.Errorf("no key %d", id)
	}
	mac := hmac.New(sha256.New, fmt.Appendf(nil, "key %d", id))
	mac.Write(input)
	return mac.Sum(nil)[:length], nil
}

// broken is every kind of key, and none of them works.
type broken struct{}

var errBroken = errors.New("broken on purpose")

func (broken) Encrypt(_, _ []byte) ([]byte, error)               { return nil, errBroken }
func (broken) Decrypt(_, _ []byte) ([]byte, error)               { return nil, errBroken }
func (broken) PrimaryID() uint32                                 { return 1 }
func (broken) Compute(_ uint32, _ []byte, _ int) ([]byte, error) { return nil, errBroken }

func testKeys() Keys {
	return Keys{Secrets: newBox("secrets"), Contacts: newBox("contacts"), Codes: prf{primary: 1}, Links: prf{primary: 1}}
}

// memory is a Store in memory. It shares what it holds with those who load it: a rule that changed an account that it was
// not given to change would be seen by the race detector, and by the next one who loads.
type memory struct {
	Store // what the Service does not use here: a call panics

	mu       sync.Mutex
	accounts map[UserID]*Account
	history  []Event
	loads    int
	writes   []*Account // every version stored, in order

	failLoad, failBefore, failAfter int // how many of the next calls fail, and when
	appendErr                       error
	replacing                       func() // runs before each Replace, if set
}

var errStore = errors.New("the store failed on purpose")

func newMemory() *memory { return &memory{accounts: map[UserID]*Account{}} }

func (m *memory) Load(ctx context.Context, user UserID) (*Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	if m.failLoad > 0 {
		m.failLoad--
		return nil, errStore
	}
	if a := m.accounts[user]; a != nil {
		return a, nil
	}
	return &Account{User: user}, nil
}

func (m *memory) Replace(ctx context.Context, next *Account) error {
	if m.replacing != nil {
		m.replacing()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failBefore > 0 {
		m.failBefore--
		return errStore
	}
	current := m.accounts[next.User]
	if current == nil {
		current = &Account{User: next.User}
	}
	if current.Version != next.Version-1 {
		return &Conflict{Current: current}
	}
	m.accounts[next.User] = next
	m.writes = append(m.writes, next)
	if m.failAfter > 0 {
		m.failAfter--
		return errStore
	}
	return nil
}

func (m *memory) Append(_ context.Context, _ UserID, events []Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = append(m.history, events...)
	return m.appendErr
}

// events counts what has happened, over all versions.
func (m *memory) events(user UserID, what EventType, outcome Outcome) int {
	n := 0
	for _, a := range m.writes {
		for _, e := range a.Events {
			if a.User == user && e.Type == what && e.Outcome == outcome {
				n++
			}
		}
	}
	return n
}

func newService(store Store, policy Policy, clock func() time.Time) *Service {
	keys := testKeys()
	return &Service{
		Store: store, Policy: policy, Now: clock,
		Keys: func(context.Context) (Keys, error) { return keys, nil },
	}
}
