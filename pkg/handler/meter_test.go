package handler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// cost is what one request takes.
type cost struct {
	reads, writes int     // requests to DynamoDB
	readUnits     float64 // one for each 4 KB that are read with strong consistency; without, a half
	writeUnits    float64 // one for each 1 KB that is written; of a write that lost a race, DynamoDB does not tell them
	kek           int64   // uses of the key-encryption key, which is in KMS
}

// meter is a store that counts what is asked of it, and the key-encryption key of the keys in it.
type meter struct {
	store  *dynamostore.Store
	tables dynamostore.Tables
	kek    *countingKEK
	ring   *keyring.Ring
	wire   *wire
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	m := &meter{tables: newTables(t), kek: &countingKEK{AEADWithContext: kek(t)}, wire: &wire{}}
	m.store = openTables(t, m.tables, m.wire)
	withKeys(t, m.store)
	m.ring = keyring.New(m.store, m.kek, func() time.Time { return begin }, keyring.Purposes()...)
	return m
}

func (m *meter) spent() cost {
	n := m.store.Counts()
	reads, others := m.wire.count()
	return cost{reads: reads, writes: others, readUnits: n.ReadUnits, writeUnits: n.WriteUnits, kek: m.kek.used.Load()}
}

func (m *meter) since(before cost) cost {
	now := m.spent()
	return cost{
		now.reads - before.reads, now.writes - before.writes,
		now.readUnits - before.readUnits, now.writeUnits - before.writeUnits, now.kek - before.kek,
	}
}

// scene is a user whose account is a typical one: a contact with everything in it, an authenticator in use, a backup
// code, as many write ids as are kept, and the events of the last transition with the longest user agent. The user's id is
// as long as Cognito's.
func (m *meter) scene(t *testing.T, policy string) *scene {
	t.Helper()
	s := newScene(t, m.store, m.ring, operation{policy: policy})
	s.user, s.agent = "3f29c1d4-8a6b-4e07-b5d2-"+fmt.Sprintf("%012s", s.user), longAgent
	s.tells("label", "alice.liddell@example.com (Example)")
	s.enrol()
	s.wind(24 * time.Hour)
	s.after(s.atVerify())
	s.wind(24 * time.Hour)
	for range 4 {
		s.after(request{s.session(), "POST /v1/check", body("code", s.phone.code())})
	}
	s.wind(nextCode)
	if s.version() < 8 {
		t.Fatalf("%d versions are not enough for all write ids", s.version())
	}
	return s
}

var longAgent = strings.Repeat("Mozilla/5.0 ", 11)[:128]

// tells has the host ask for a challenge, and say what it knows of the user.
func (s *scene) tells(more ...string) answer {
	s.t.Helper()
	r := s.asks(more...)
	return s.want(r.who, r.route, r.body, 200, "")
}

func (s *scene) asks(more ...string) request {
	return request{host(), "POST /v1/challenges", body(append([]string{"user_id", s.user, "nonce", "0123456789abcdef",
		"email", "alice.liddell@example.com", "locale", "en-GB", "ip", here, "user_agent", longAgent}, more...)...)}
}

// countingKEK counts how often the key-encryption key is used.
type countingKEK struct {
	tink.AEADWithContext
	used atomic.Int64
}

func (k *countingKEK) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	k.used.Add(1)
	return k.AEADWithContext.DecryptWithContext(ctx, ciphertext, associatedData)
}

// wire is the way to DynamoDB. It counts requests, and has something happen to a write.
type wire struct {
	mu    sync.Mutex
	asked []string // the operations
	first func()   // happens before the next write
	lose  bool     // the answer to the next write
}

// Do sends a request.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	what := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	w.mu.Lock()
	w.asked = append(w.asked, what)
	first, lose := func() {}, false
	if what == "PutItem" && w.first != nil {
		first, w.first = w.first, nil
	}
	if what == "PutItem" {
		lose, w.lose = w.lose, false
	}
	w.mu.Unlock()
	first()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && lose {
		response.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return response, err
}

// count returns how many requests read one item, and how many did anything else.
func (w *wire) count() (reads, others int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.asked {
		if what == "GetItem" {
			reads++
		}
	}
	return reads, len(w.asked) - reads
}

// overtake has somebody else write the account before the scene's next write.
func (m *meter) overtake(s *scene) {
	store := openTables(s.t, m.tables, awshttp.NewBuildableClient()) // which is not counted
	m.wire.first = func() {
		other := newScene(s.t, store, m.ring, s.op)
		other.user, other.now = s.user, s.clock()
		other.tells("label", "another")
	}
}
