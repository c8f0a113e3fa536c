// Package twofactor holds the rules of the second factor: who gets in, what a wrong code costs, how a phone is
// replaced. It knows neither HTTP nor AWS nor a database.
//
// All that decides whether a user gets in is one aggregate, the [Account], stored as one item. A rule is a method of
// [Rules]: it takes an account it may change, a request and the time, and returns the answer; what happened it
// records as events inside the account. [Service] loads the account, applies a rule and replaces the item only if it
// is still the one it read; only then does the answer leave.
//
// Where to find a rule: one file for each operation (enroll, confirm, replace, verify, check, rotate_backup,
// revoke_backup, disable, challenge, status, host_events, admin, import), and one for each thing they share (throttle, code,
// elsewhere, fence, grant, retry, contact, recorded, seal).
package twofactor

import (
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/backupcode"
	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Schema is the newest layout of a stored account that this code understands. A store that meets a newer one answers
// [ErrUnavailable]: to decide on half an account, or to write it back without its newer fields, would be worse.
const Schema = 1

// keptWrites is how many write ids an account keeps. A write whose answer was lost is recognised by its id also when
// seven others have landed on top of it meanwhile.
const keptWrites = 8

// Account is all that decides whether one user gets in. The zero Account with a User is a user never seen.
//
// The JSON names are the stored names on every engine; they are short because one read unit is 4 KB and one write unit
// is 1 KB.
type Account struct {
	User    UserID    `json:"user"`
	Schema  int       `json:"schema"`
	Version int64     `json:"version"` // counts every stored change; never reset, not even by Erase
	Writes  []WriteID `json:"writes"`  // ids of the last writes, newest last

	Incarnation int64 `json:"inc,omitempty"`   // raised by Erase: nothing made before it is of any use after
	Epoch       int64 `json:"epoch,omitempty"` // raised by a new password: challenges and grants die with it
	Generation  int64 `json:"gen,omitempty"`   // counts every secret, code and contact ever made for this incarnation

	Authenticator *Authenticator `json:"auth,omitempty"`    // the one in force; nil: 2FA is off
	Pending       *Enrolment     `json:"pending,omitempty"` // being set up; opens nothing
	BackupCode    *BackupCode    `json:"backup,omitempty"`
	Grant         *OpenGrant     `json:"grant,omitempty"`

	Codes   CodeThrottle   `json:"codes,omitzero"`
	Backups BackupThrottle `json:"backups,omitzero"`

	Contact        *Sealed   `json:"contact,omitempty"`       // a sealed Contact, as the host last told it
	Previous       *Previous `json:"previous,omitempty"`      // the contact before the first recent change
	AddressChanged time.Time `json:"addr_changed,omitzero"`   // last change of address
	FreshSince     time.Time `json:"fresh_since,omitzero"`    // a session signed in before this cannot set 2FA up
	Challenges     []Spent   `json:"challenges,omitempty"`    // challenges that succeeded and could be presented again
	SignIn         *Success  `json:"sign_in,omitempty"`       // the newest success, for its retry
	Answered       *Answered `json:"answered,omitempty"`      // the newest answer under an Idempotency-Key
	Reset          *Reset    `json:"reset,omitempty"`         // open, or closed a short while ago
	ResetReviews   []int64   `json:"reset_reviews,omitempty"` // Unix seconds at which resets reached review
	ResetMails     []int64   `json:"reset_mails,omitempty"`   // Unix seconds of mails with an identity link
	Ended          time.Time `json:"end,omitzero"`            // when 2FA was last turned off, or the user erased: an import is newer
	ReuseQuiet     int64     `json:"hush,omitempty"`          // the hour since 1970 until which no other mail tells of a used code
	Events         []Event   `json:"events,omitempty"`        // what the last transition did; the stream is the log
	Past           *Recorded `json:"past,omitempty"`          // where the events before those are; nil: not known
}

// Authenticator is a shared secret and what has been done with it.
type Authenticator struct {
	Secret      Sealed      `json:"secret"`
	Params      totp.Params `json:"params"`
	ActivatedAt time.Time   `json:"activated,omitzero"`
	LastStep    totp.Step   `json:"last,omitempty"`    // the last accepted one; only a greater one is accepted
	Burned      []totp.Step `json:"burned,omitempty"`  // refused steps whose code was told apart; never accepted
	LastFrom    []byte      `json:"from,omitempty"`    // where the code of LastStep came from, as origin says it; nil: not known
	Replays     int         `json:"replays,omitempty"` // spent codes tried again since LastStep, as far as recorded
}

// Enrolment is an authenticator that is being set up. Nothing of it can be used to sign in.
type Enrolment struct {
	ID            Digest        `json:"id"`
	Authenticator Authenticator `json:"auth"`
	BackupCode    *BackupCode   `json:"backup,omitempty"` // becomes active with the confirmation
	Grant         Digest        `json:"grant,omitzero"`   // of the grant it was begun with, if any
	Reset         Digest        `json:"reset,omitzero"`   // of the reset that it completes, if any
	BegunAt       time.Time     `json:"begun"`
	Failures      int           `json:"failures,omitempty"`
}

// BackupCode is the one backup code as the account keeps it: a keyed digest.
type BackupCode struct {
	Digest     backupcode.Digest `json:"digest"`
	KeyID      uint32            `json:"key"`
	Generation int64             `json:"gen"`
	Length     int               `json:"len"` // in characters: the policy's may have changed since
	IssuedAt   time.Time         `json:"issued"`
}

// Enabled says whether a sign-in needs a second factor.
func (a *Account) Enabled() bool { return a.Authenticator != nil }

// next is the account's next version: a deep copy with the version raised, no events, and without what has run out or lies
// behind the fence.
func (a *Account) next(write WriteID, fence, now time.Time) *Account {
	n := *a
	n.Schema = Schema
	n.Version++
	n.Writes = append(slices.Clone(a.Writes[max(0, len(a.Writes)-keptWrites+1):]), write)
	n.Authenticator = a.Authenticator.clone()
	if a.Pending != nil {
		p := *a.Pending
		p.Authenticator = *a.Pending.Authenticator.clone()
		p.BackupCode = clone(a.Pending.BackupCode)
		n.Pending = &p
	}
	n.BackupCode = clone(a.BackupCode)
	n.Grant = clone(a.Grant)
	n.Codes.Days = slices.Clone(a.Codes.Days)
	n.Contact = clone(a.Contact)
	n.Previous = clone(a.Previous)
	n.Challenges = slices.Clone(a.Challenges)
	n.SignIn = clone(a.SignIn)
	n.Answered = clone(a.Answered)
	n.Reset = a.Reset.clone()
	n.ResetReviews = slices.Clone(a.ResetReviews)
	n.ResetMails = slices.Clone(a.ResetMails)
	if n.Past = recorded(a.Version, a.Events); n.Past == nil {
		n.Past = clone(a.Past)
	}
	n.Events = nil
	n.passFence(fence, now)
	n.tidy(now)
	return &n
}

// clone copies the one level of a value that holds no references but byte strings, which are never changed in place.
func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func (a *Authenticator) clone() *Authenticator {
	c := clone(a)
	if c != nil {
		c.Burned = slices.Clone(a.Burned)
	}
	return c
}

// tidy drops what has run out, so that the item stays small, and moves a reset on. Every other rule checks times itself:
// nothing depends on tidy having run, but for the record that a replacement has lapsed.
func (a *Account) tidy(now time.Time) {
	if a.Pending != nil && a.Pending.expired(now) {
		a.lapse(now)
	}
	a.advanceReset(now)
	if a.Grant != nil && !now.Before(a.Grant.ExpiresAt) {
		a.Grant = nil
	}
	if a.SignIn != nil && !now.Before(a.SignIn.At.Add(retryFor)) {
		a.SignIn = nil
	}
	if a.Answered != nil && !now.Before(a.Answered.At.Add(retryFor)) {
		a.Answered = nil
	}
	if a.Previous != nil && !now.Before(a.Previous.Until) {
		a.Previous = nil
	}
	if a.ReuseQuiet <= hours(now) {
		a.ReuseQuiet = 0
	}
	a.Challenges = slices.DeleteFunc(a.Challenges, func(s Spent) bool { return !now.Before(s.Until) })
	a.Codes.tidy(now)
}

// turnOff removes all that a second factor consists of. What remains decides nothing by itself: counters that must
// not go back, the contact, and the records that let the last request be answered again.
func (a *Account) turnOff(now time.Time) {
	a.Ended = now
	a.Authenticator, a.Pending, a.BackupCode, a.Grant = nil, nil, nil, nil
	a.SignIn = nil // while 2FA is off no wrong code is counted: its retry could be searched for
	a.Codes, a.Backups = CodeThrottle{}, BackupThrottle{}
}
