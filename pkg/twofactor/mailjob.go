package twofactor

import "time"

// MailJob asks for one mail. Package notify makes it of an event, package mail takes it. To which address and in which
// words is looked up when it is sent: what waits in a queue holds no address and no link.
type MailJob struct {
	User   UserID    `json:"user"`
	Event  string    `json:"event"` // the event's id; with At it finds the row of the history
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // of package mail
	To     MailTo    `json:"to"`
	IP     string    `json:"ip,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// MailTo is who a mail is for.
type MailTo string

// The addressees.
const (
	MailToUser      MailTo = "user"      // the present address
	MailToPrevious  MailTo = "previous"  // the one before a change, for as long as it gets notices
	MailToReviewers MailTo = "reviewers" // the configured address
)

// Addressee is somebody a mail can be sent to.
type Addressee struct {
	Email  string
	Locale string
}

// Addressee returns who a mail about the account goes to; none is the zero Addressee. Reviewers are not the account's.
func (r Rules) Addressee(a *Account, to MailTo, now time.Time) (Addressee, error) {
	var c Contact
	var err error
	switch {
	case to == MailToUser:
		c, err = r.contact(a)
	case to == MailToPrevious && a.Previous != nil && now.Before(a.Previous.Until):
		c, err = r.previous(a)
	}
	return Addressee{Email: c.Email, Locale: c.Locale}, err
}
