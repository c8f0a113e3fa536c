package handler_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/dynamostore/itemsize"
	"github.com/nightlatch/nightlatch/pkg/keyring"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// cost is what one request takes.
type cost struct {
	reads, writes int     // requests to DynamoDB
	trips         int     // of them in a row, each of which waits for the one before
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
	reads, others, trips := m.wire.count()
	return cost{reads: reads, writes: others, trips: trips, readUnits: n.ReadUnits, writeUnits: n.WriteUnits, kek: m.kek.used.Load()}
}

func (m *meter) since(before cost) cost {
	now := m.spent()
	return cost{
		now.reads - before.reads, now.writes - before.writes, now.trips - before.trips,
		now.readUnits - before.readUnits, now.writeUnits - before.writeUnits, now.kek - before.kek,
	}
}

// scene is a user whose account is a typical one: a contact with everything in it, an authenticator in use, a backup
// code, as many write ids as are kept, and the events of the last transition with the longest user agent. The user's id is
// as long as Cognito's. With longest, whatever is told is as long as the API takes, and the address has just changed.
func (m *meter) scene(t *testing.T, policy string, longest bool) *scene {
	t.Helper()
	s := newScene(t, m.store, m.ring, operation{policy: policy})
	s.user, s.agent = "3f29c1d4-8a6b-4e07-b5d2-"+fmt.Sprintf("%012s", s.user), longAgent
	s.told, s.name = []string{"email", "alice.liddell@example.com", "locale", "en-GB", "ip", here}, "Alice Liddell"
	if longest {
		s.user, s.name = fmt.Sprintf("%0128s", s.user), long(`"`)
		s.told = []string{"email", long(`"`), "label", long(`"`), "locale", long(`"`), "ip", long(`"`)}
	}
	s.recovery = &recovery{world: s.world, persona: newPersona()}
	s.deps.Identity, s.deps.Webhook = s.recovery.persona, openHint
	s.funcs = functions(s.deps)
	s.wind(123 * time.Millisecond) // as clocks are: of zeros at the end of a time DynamoDB takes no account
	s.tells("label", "alice.liddell@example.com (Example)")
	s.enrol()
	s.wind(24 * time.Hour)
	s.after(s.atVerify())
	s.wind(24 * time.Hour)
	for range 4 {
		s.after(request{s.session(), "POST /v1/check", body("code", s.phone.code())})
	}
	if longest {
		s.told[1], s.told[3] = long(`\`), long(`\`)
		s.tells()
	}
	s.wind(nextCode)
	if s.version() < 8 {
		t.Fatalf("%d versions are not enough for all write ids", s.version())
	}
	return s
}

// maxText is the longest text that a host may tell, in bytes.
const maxText = 256

// long is one. Of " and \ there are two bytes each in what is sealed, which is JSON; nothing else that can be printed takes more than
// its own.
func long(of string) string { return strings.Repeat(of, maxText) }

// fills brings the account to the bounds of all that it collects: a recovery up to its review, unless one is about to begin, used
// challenges, days with wrong codes, and codes of a phone whose clock is off.
func (m *meter) fills(s *scene, next request) {
	s.t.Helper()
	a := s.recovery.account(s.user)
	if a.Enabled() && a.Reset == nil && next.route != "POST /v1/reset-request" && s.deps.Service.Policy.Recovery == twofactor.IdentityReview {
		s.after(s.atHint())
		a = s.recovery.account(s.user)
	}
	for len(a.Challenges) < 39 { // one more is taken
		a.Challenges = append(a.Challenges, twofactor.Spent{Challenge: twofactor.RandomDigest(), Until: s.clock().Add(10 * time.Minute)})
	}
	if a.Enabled() {
		days := a.Codes.Days
		a.Codes.Days = nil
		for day := s.clock().Unix()/86400 - 30; len(a.Codes.Days)+len(days) < 31; day++ {
			a.Codes.Days = append(a.Codes.Days, twofactor.DayCount{Day: day, Failures: 1})
		}
		a.Codes.Days = append(a.Codes.Days, days...)
		for step := totp.Step(s.clock().Unix()/30 + 1000); len(a.Authenticator.Burned) < 20; step++ {
			a.Authenticator.Burned = append(a.Authenticator.Burned, step)
		}
	}
	a.Version++
	a.Writes = append(a.Writes[1:], twofactor.NewWriteID())
	if err := m.store.Replace(s.t.Context(), a); err != nil {
		s.t.Fatal(err)
	}
}

// itemSize is how large the account's item is, in bytes.
func (m *meter) itemSize(s *scene) int {
	s.t.Helper()
	stored, err := dynamodb.NewFromConfig(local(s.t)).GetItem(s.t.Context(), &dynamodb.GetItemInput{
		TableName: &m.tables.Accounts, Key: map[string]types.AttributeValue{"user": &types.AttributeValueMemberS{Value: s.user}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return itemsize.Of(stored.Item)
}

var longAgent = strings.Repeat("Mozilla/5.0 ", 11)[:128]

// tells has the host ask for a challenge, and say what it knows of the user.
func (s *scene) tells(more ...string) answer {
	s.t.Helper()
	r := s.asks(more...)
	return s.want(r.who, r.route, r.body, 200, "")
}

func (s *scene) asks(more ...string) request {
	return request{host(), "POST /v1/challenges", body(slices.Concat([]string{"user_id", s.user, "nonce", "0123456789abcdef",
		"user_agent", longAgent}, s.told, more)...)}
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
	trips int      // in a row so far, of those that are over
	first func()   // happens before the next write
	lose  bool     // the answer to the next write
}

// Do sends a request.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	what := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	w.mu.Lock()
	w.asked = append(w.asked, what)
	trip := w.trips + 1 // it may have waited for whatever is over
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.trips = max(w.trips, trip)
	}()
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

// count returns how many requests were reads, how many did anything else, and how many of them came one after the other.
func (w *wire) count() (reads, others, trips int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.asked {
		if what == "GetItem" || what == "Query" {
			reads++
		}
	}
	return reads, len(w.asked) - reads, w.trips
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
