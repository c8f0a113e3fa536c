package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// Mailer makes mails of jobs. It looks up when it sends: the address and the language of that moment, and whether there is
// still anything to say. A link in a mail is derived then, and stored nowhere.
type Mailer struct {
	Load  func(context.Context, twofactor.UserID) (*twofactor.Account, error)
	Rules func(context.Context) (twofactor.Rules, error)
	Send  func(ctx context.Context, to string, m Message, tags map[string]string) error
	Now   func() time.Time

	// Mailed and MarkMailed are those of a [twofactor.MailLog], both or neither. Without them a job that comes twice is sent
	// twice.
	Mailed     func(context.Context, twofactor.MailJob) (bool, error)
	MarkMailed func(context.Context, twofactor.MailJob, time.Time) error

	// Count is told what became of a mail: sent, needless or failed. Without it nobody counts.
	Count func(outcome string)

	App       string // the application's name
	Support   string // an address or a URL; may be empty
	Web       string // URL of the pages that links lead to, without a slash at its end
	Words     Words
	Reviewers string // the address that cases are told to; empty: nobody is told
}

// The tags of a mail, by which what SES tells of it later finds its reset.
const (
	TagEvent = "event"
	TagReset = "reset"
	TagTo    = "to" // a twofactor.MailTo
)

// addressees are those that a job may be for.
var addressees = []twofactor.MailTo{twofactor.MailToUser, twofactor.MailToPrevious, twofactor.MailToReviewers}

// Do sends the mail that a job asks for, unless it is marked as sent, and marks it. It returns nil also where there is none to
// send any more: no address is known, or the reset has gone on. An [ErrContent] or [ErrRejected] is for good; after any other
// error the job is to come again.
//
// A mail that was sent and could not be marked is logged, and done: the job would send it again. What no row of the history
// tells, a mail that was asked for once more, is sent as often as its job comes.
func (m *Mailer) Do(ctx context.Context, job twofactor.MailJob) error {
	if Kind(job.Kind).write() == nil || !slices.Contains(addressees, job.To) { // of another release: it is not lost in silence
		return fmt.Errorf("%w: no mail %q to %q", ErrContent, job.Kind, job.To)
	}
	if m.Mailed != nil {
		sent, err := m.Mailed(ctx, job)
		if err != nil {
			return fmt.Errorf("mail: whether it was sent: %w", err)
		}
		if sent {
			return nil
		}
	}
	sent, err := m.send(ctx, job)
	m.count(sent, err)
	if err != nil || !sent {
		return err
	}
	if m.MarkMailed == nil {
		return nil
	}
	if err := m.MarkMailed(ctx, job, m.Now()); err != nil {
		slog.ErrorContext(ctx, "mail sent, and not marked", "event", job.Event, "kind", job.Kind, "to", job.To, "cause", err)
	}
	return nil
}

func (m *Mailer) count(sent bool, err error) {
	switch {
	case m.Count == nil:
	case err != nil:
		m.Count("failed")
	case sent:
		m.Count("sent")
	default:
		m.Count("needless")
	}
}

// send sends the mail, if there is one to send.
func (m *Mailer) send(ctx context.Context, job twofactor.MailJob) (sent bool, err error) {
	account, err := m.Load(ctx, job.User)
	if err != nil {
		return false, fmt.Errorf("mail: %w", err)
	}
	rules, err := m.Rules(ctx)
	if err != nil {
		return false, fmt.Errorf("mail: %w", err)
	}
	to, err := rules.Addressee(account, job.To, m.Now())
	if err != nil {
		return false, fmt.Errorf("mail: %w", err)
	}
	if job.To == twofactor.MailToReviewers {
		to.Email = m.Reviewers
	}
	if to.Email == "" || !current(account, job) {
		return false, nil
	}
	content, err := m.content(rules, account, job)
	if err != nil {
		return false, err
	}
	content.Locale = to.Locale
	message, err := Render(content)
	if err != nil {
		return false, err
	}
	tags := map[string]string{TagEvent: job.Event, TagTo: string(job.To)}
	if account.Reset != nil {
		tags[TagReset] = account.Reset.ID
	}
	if err := m.Send(ctx, to.Email, message, tags); err != nil {
		return false, err
	}
	return true, nil
}

// states are the states of a reset in which there is anything to do for the reader of a mail.
var states = map[Kind]twofactor.ResetState{
	ResetRequested: twofactor.ResetIdentityPending, ResetInReview: twofactor.ResetInReview,
	ReviewWaiting: twofactor.ResetInReview, ReviewReminder: twofactor.ResetInReview,
	ResetApproved: twofactor.ResetApproved, ResetReady: twofactor.ResetReady,
}

// current says whether what the mail would say is still so.
func current(a *twofactor.Account, job twofactor.MailJob) bool {
	kind := Kind(job.Kind)
	state, bound := states[kind]
	switch {
	case bound:
		return a.Reset != nil && a.Reset.State == state
	case kind == IdentityFailed:
		return a.Reset != nil && (a.Reset.State == twofactor.ResetIdentityPending ||
			a.Reset.State == twofactor.ResetExpired && a.Reset.TriesLeft <= 0)
	}
	return true
}

// content gathers what the mail says. Links that let someone in go to the present address only.
func (m *Mailer) content(rules twofactor.Rules, a *twofactor.Account, job twofactor.MailJob) (Content, error) {
	c := Content{
		Kind: Kind(job.Kind), App: m.App, Support: m.Support, Words: m.Words,
		Enforcement: rules.Policy.Enforcement, BackupUse: rules.Policy.BackupUse, Recovery: rules.Policy.Recovery,
		Previous: job.To == twofactor.MailToPrevious, At: job.At, IP: job.IP, Reason: Reason(job.Reason),
		LockedUntil: a.Codes.LockedUntil,
	}
	if c.Kind == ResetCanceled {
		c.Reason = canceledFor(job.Reason)
	}
	r := a.Reset
	if r == nil {
		return c, nil
	}
	c.Reference, c.TriesLeft, c.EffectiveAt, c.ExpiresAt = r.Reference, r.TriesLeft, r.EffectiveAt, r.ExpiresAt
	if !r.Open() {
		return c, nil
	}
	for purpose, link := range map[twofactor.LinkPurpose]*string{
		twofactor.LinkIdentity: &c.Links.Confirm, twofactor.LinkSignIn: &c.Links.SignIn, twofactor.LinkCancel: &c.Links.Cancel,
	} {
		if job.To == twofactor.MailToReviewers || c.Previous && purpose != twofactor.LinkCancel {
			continue
		}
		token, err := rules.Link(a, purpose)
		if errors.Is(err, twofactor.ErrLinkExpired) {
			continue // there is nothing to do for such a link now
		}
		if err != nil {
			return Content{}, fmt.Errorf("mail: %w", err)
		}
		*link = m.Web + "/#/reset/" + string(purpose) + "/" + token
	}
	if job.To == twofactor.MailToReviewers {
		c.Links.Case = m.Web + "/#/reviews/" + r.ID
	}
	return c, nil
}

// canceledFor is why a reset was canceled, as its user is told: by the user, by a code that was accepted, or by somebody
// else, who may have said why.
func canceledFor(reason string) Reason {
	switch r := Reason(reason); r {
	case ProofOfLife, IdentityMismatch, DocumentUnreadable, SuspiciousRequest, NotAccountHolder:
		return r
	case "", "link":
		return ""
	}
	return Other
}

// ForGood says whether sending again would not help: the address takes no mail, or there is none to be made of the job.
func ForGood(err error) bool { return errors.Is(err, ErrContent) || errors.Is(err, ErrRejected) }

// WordsOf are those of a preset; of any other policy, the standard ones.
func WordsOf(preset string) Words {
	if w := Words(strings.ToLower(preset)); w == Mirox || w == Miaxdx || w == Midphase {
		return w
	}
	return Standard
}
