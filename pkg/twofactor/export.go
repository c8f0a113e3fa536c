package twofactor

import (
	"context"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// Export is all that is kept about a user, for whoever asks what that is: in the clear, but for what opens doors. Of secrets,
// codes and digests it says that there are any, and since when.
type Export struct {
	User    UserID    `json:"user"`
	At      time.Time `json:"at"`
	Account *Exported `json:"account,omitempty"` // on the first page only
	History []Event   `json:"history"`           // newest first
	Next    string    `json:"next,omitempty"`    // empty: the end
}

// Exported is an account in an [Export].
type Exported struct {
	State          State      `json:"state"`
	Contact        Contact    `json:"contact"`
	Previous       *Contact   `json:"previous_contact,omitempty"` // which notices go to, too
	PreviousUntil  time.Time  `json:"previous_contact_until,omitzero"`
	AddressChanged time.Time  `json:"address_changed,omitzero"`
	FreshSince     time.Time  `json:"fresh_since,omitzero"`
	Authenticator  *Exhibit   `json:"authenticator,omitempty"`
	Pending        *Exhibit   `json:"pending,omitempty"`
	BackupCode     *Exhibit   `json:"backup_code,omitempty"`
	GrantUntil     time.Time  `json:"grant_until,omitzero"`
	LockedUntil    time.Time  `json:"locked_until,omitzero"`
	SuspendedAt    time.Time  `json:"suspended_at,omitzero"`
	Failures       int        `json:"failures"` // in the last 30 days
	LastSignIn     time.Time  `json:"last_sign_in,omitzero"`
	ResetReviews   []int64    `json:"reset_reviews,omitempty"` // Unix seconds
	ResetMails     []int64    `json:"reset_mails,omitempty"`   // likewise
	Reset          *Recovered `json:"reset,omitempty"`
}

// Exhibit says that there is something, without showing it.
type Exhibit struct {
	Since    time.Time    `json:"since"`
	Params   *totp.Params `json:"params,omitempty"`
	LastUsed time.Time    `json:"last_used,omitzero"` // the time of the last code that was accepted
	Length   int          `json:"length,omitempty"`   // of a backup code, in characters
}

// Recovered is a recovery in an [Export].
type Recovered struct {
	ID          string     `json:"id"`
	Reference   string     `json:"reference"`
	State       ResetState `json:"state"`
	RequestedAt time.Time  `json:"requested_at"`
	EnteredAt   time.Time  `json:"entered_at"`
	EffectiveAt time.Time  `json:"effective_at,omitzero"`
	ExpiresAt   time.Time  `json:"expires_at,omitzero"`
	IP          string     `json:"ip,omitempty"`
	UserAgent   string     `json:"user_agent,omitempty"`
	ReasonCode  string     `json:"reason_code,omitempty"`
	Inquiry     string     `json:"inquiry,omitempty"` // at the identity service, which keeps more
	Approvals   []Approval `json:"approvals,omitempty"`
	OnFile      *Subject   `json:"on_file,omitempty"`  // as the host told it
	Verified    *Person    `json:"verified,omitempty"` // as it was read from an ID
}

// Export returns what is kept about a user. It reads only.
func (s *Service) Export(ctx context.Context, user UserID, page Page) (Export, error) {
	out := Export{User: user, At: s.now(), History: []Event{}}
	if page.Cursor == "" {
		rules, account, err := s.read(ctx, user)
		if err != nil {
			return Export{}, err
		}
		exported, err := rules.export(account.next("", rules.Fence, out.At), out.At)
		if err != nil {
			return Export{}, err
		}
		out.Account = &exported
	}
	list, err := s.History(ctx, user, page)
	out.History, out.Next = append(out.History, list.Events...), list.Next
	return out, err
}

func (r Rules) export(a *Account, now time.Time) (Exported, error) {
	status := a.Status(now)
	out := Exported{
		State: status.State, AddressChanged: a.AddressChanged, FreshSince: a.FreshSince, LockedUntil: status.LockedUntil,
		SuspendedAt: a.Codes.SuspendedAt, Failures: a.Codes.monthly(now), ResetReviews: a.ResetReviews, ResetMails: a.ResetMails,
	}
	var err error
	if out.Contact, err = r.contact(a); err != nil {
		return Exported{}, err
	}
	if a.Previous != nil {
		previous, err := r.previous(a)
		if err != nil {
			return Exported{}, err
		}
		out.Previous, out.PreviousUntil = &previous, a.Previous.Until
	}
	if auth := a.Authenticator; auth != nil {
		out.Authenticator = &Exhibit{Since: auth.ActivatedAt, Params: &auth.Params}
		if auth.LastStep > 0 && auth.Params.Validate() == nil {
			out.Authenticator.LastUsed = auth.Params.StartOf(auth.LastStep)
		}
	}
	if a.Pending != nil {
		out.Pending = &Exhibit{Since: a.Pending.BegunAt, Params: &a.Pending.Authenticator.Params}
	}
	if b := a.BackupCode; b != nil {
		out.BackupCode = &Exhibit{Since: b.IssuedAt, Length: b.Length}
	}
	if a.Grant != nil {
		out.GrantUntil = a.Grant.ExpiresAt
	}
	if a.SignIn != nil {
		out.LastSignIn = a.SignIn.At
	}
	if s := a.Reset; s != nil {
		out.Reset = &Recovered{
			ID: s.ID, Reference: s.Reference, State: s.State, RequestedAt: s.RequestedAt, EnteredAt: s.EnteredAt, EffectiveAt: s.EffectiveAt,
			ExpiresAt: s.ExpiresAt, IP: s.IP, UserAgent: s.UserAgent, ReasonCode: s.ReasonCode, Inquiry: s.Inquiry, Approvals: s.Approvals,
		}
		if err := openJSON(a, r.Keys.Contacts, sealSubject, s.Subject, &out.Reset.OnFile); err != nil {
			return Exported{}, err
		}
		if err := openJSON(a, r.Keys.Contacts, sealIdentity, s.Identity, &out.Reset.Verified); err != nil {
			return Exported{}, err
		}
	}
	return out, nil
}
