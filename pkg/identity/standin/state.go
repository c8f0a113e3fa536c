package standin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

const (
	lapsesAfter = 24 * time.Hour // an inquiry that nobody finishes: docs.withpersona.com/model-lifecycle
	keptFor     = 24 * time.Hour // an answer, under its Idempotency-Key: docs.withpersona.com/idempotence
	maxKept     = 1000           // inquiries; then the oldest go
	maxCodes    = 8              // of an inquiry; then the oldest go
)

// inquiry is one check of one person.
type inquiry struct {
	ID           string          `json:"id"`
	Template     string          `json:"template"`
	Reference    string          `json:"reference"`
	ReturnTo     string          `json:"return_to,omitempty"`
	Status       identity.Status `json:"status"`
	Document     string          `json:"document,omitempty"` // what came of the identity document: passed or failed
	Person       Person          `json:"person,omitzero"`    // who is on it
	Codes        []string        `json:"codes,omitempty"`    // of links that were not used
	CreatedAt    time.Time       `json:"created_at"`
	CompletedAt  time.Time       `json:"completed_at,omitzero"`
	DecisionedAt time.Time       `json:"decisioned_at,omitzero"`
}

// Open says whether the person can still go on with it.
func (i inquiry) Open() bool {
	return i.Status == identity.StatusCreated || i.Status == identity.StatusPending
}

func (i inquiry) hasCode(code string) bool { return slices.Contains(i.Codes, code) }

// answer is what a request was answered, to be repeated under its Idempotency-Key.
type answer struct {
	Key     string          `json:"key"`
	Request string          `json:"request"` // a digest
	Status  int             `json:"status"`
	Body    json.RawMessage `json:"body"`
	At      time.Time       `json:"at"`
}

// state is everything that is kept. It is replaced, not changed.
type state struct {
	Inquiries map[string]inquiry `json:"inquiries"` // by id
	Answers   map[string]answer  `json:"answers"`   // by key
}

func newState() state { return state{map[string]inquiry{}, map[string]answer{}} }

// with returns the state with an inquiry and an answer in it, and without what is too old or too much. An inquiry without an
// id is none, and so is a nil answer.
func (s state) with(i inquiry, a *answer, now time.Time) state {
	next := state{maps.Clone(s.Inquiries), maps.Clone(s.Answers)}
	if i.ID != "" {
		next.Inquiries[i.ID] = i
	}
	if a != nil {
		next.Answers[a.Key] = *a
	}
	maps.DeleteFunc(next.Answers, func(_ string, a answer) bool { return now.Sub(a.At) >= keptFor })
	if len(next.Inquiries) > maxKept {
		oldest := slices.MinFunc(slices.Collect(maps.Values(next.Inquiries)), func(a, b inquiry) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		delete(next.Inquiries, oldest.ID)
	}
	return next
}

func (s state) save(save func([]byte) error) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return save(content)
}

func (s *state) load(load func() ([]byte, error)) error {
	content, err := load()
	if err != nil || len(content) == 0 {
		return err
	}
	if err := json.Unmarshal(content, s); err != nil {
		return fmt.Errorf("what was saved are not inquiries: %w", err)
	}
	if s.Inquiries == nil || s.Answers == nil {
		return errors.New("what was saved are not inquiries")
	}
	return nil
}
