package twofactor

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// linkRoutes are all that take the token of a mailed link, each with the purpose that it is for; cancel takes any.
var linkRoutes = []struct {
	name    string
	purpose LinkPurpose
	state   ResetState // in which there is something to do
	try     func(w *recovery, token string) error
}{
	{"show", LinkCancel, ResetInReview, func(w *recovery, token string) error {
		return w.act(func(a *Account) error {
			_, err := w.rules.ShowLink(a, token, w.now)
			return err
		})
	}},
	{"identity", LinkIdentity, ResetIdentityPending, func(w *recovery, token string) error {
		return w.act(func(a *Account) error {
			_, err := w.rules.IdentityCheck(a, token)
			return err
		})
	}},
	{"cancel", LinkCancel, ResetApproved, func(w *recovery, token string) error {
		return w.act(func(a *Account) error { return w.rules.CancelByLink(a, w.request(), token, w.now) })
	}},
	{"sign-in", LinkSignIn, ResetReady, func(w *recovery, token string) error {
		_, err := w.useLink(token)
		return err
	}},
}

// TestLinkTokens: what is not, to the letter, the token of a link of this reset, this user and this life opens nothing, and is
// not written.
func TestLinkTokens(t *testing.T) {
	t.Parallel()
	for _, route := range linkRoutes {
		w := recovering(t, "standard")
		w.upTo(route.state)
		token := w.link(route.purpose)
		id, tag, _ := strings.Cut(token, ".")
		if len(tag) != 22 {
			t.Fatalf("%s: %d characters are not 128 bits", route.name, len(tag))
		}
		wrong := map[string]string{
			"empty": "", "a dot": ".", "no tag": id + ".", "no id": "." + tag, "another reset's": id + "x." + tag, "the id's beginning": id[1:] + "." + tag,
			"upper case": strings.ToUpper(token), "lower case": strings.ToLower(token), "upper-case id": strings.ToUpper(id) + "." + tag,
			"a line break": token + "\n", "a break inside": id + "." + tag[:5] + "\r\n" + tag[5:], "padded": token + "==", "a space": token + " ",
			"a part more": token + "." + tag, "longer": token + "A", "twice": token + token,
		}
		for n := range len(token) {
			wrong["cut to "+token[:n]] = token[:n]
		}
		last := strings.IndexByte(base64url, token[len(token)-1])
		for i := range 64 {
			if i != last { // also one with bits to spare
				wrong["last character "+base64url[i:i+1]] = token[:len(token)-1] + base64url[i:i+1]
			}
		}
		for name, edit := range map[string]func(a *Account){
			"another user's":  func(a *Account) { a.User = "bob" },
			"an earlier life": func(a *Account) { a.Incarnation++ },
			"another key's":   func(a *Account) { a.Reset.LinkKey = 2 },
		} {
			w.rules.Keys.Links = prf{primary: 2}
			a := w.account.next("w", time.Time{}, w.now)
			edit(a)
			other, err := w.rules.link(a, route.purpose)
			w.must(err)
			wrong[name] = other
		}
		for name, token := range wrong {
			if err := route.try(w, token); !errors.Is(err, ErrLinkExpired) || w.stored {
				t.Errorf("%s, %s: got %v, stored %v", route.name, name, err, w.stored)
			}
		}
		w.must(route.try(w, token))
	}
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TestLinkPurposes: a link is for one thing, but for the cancellation, for which every link of the reset does, whatever has
// become of its own purpose.
func TestLinkPurposes(t *testing.T) {
	t.Parallel()
	for _, state := range []ResetState{ResetIdentityPending, ResetInReview, ResetApproved, ResetReady} {
		for _, purpose := range linkPurposes {
			for _, route := range linkRoutes {
				w := recovering(t, "standard")
				w.upTo(state)
				token, err := w.rules.link(w.account, purpose)
				w.must(err)
				fits := purpose == LinkCancel || purpose == LinkIdentity && state == ResetIdentityPending || purpose == LinkSignIn && state == ResetReady
				want := fits && (route.name == "show" || route.purpose == purpose) || route.name == "cancel"
				if err := route.try(w, token); want != (err == nil) || err != nil && !errors.Is(err, ErrLinkExpired) {
					t.Errorf("%s with the %s link while %s: %v", route.name, purpose, state, err)
				}
				if mailed, err := w.rules.Link(w.account, purpose); w.account.Reset.Open() && (fits != (err == nil) || fits && mailed != token) {
					t.Errorf("%s link to be mailed while %s: %q, %v", purpose, state, mailed, err)
				}
			}
		}
	}
	w := recovering(t, "standard")
	if _, err := w.rules.Link(w.account, LinkCancel); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("without a reset: %v", err)
	}
}

// TestLinkKeys: a link outlives the key that was the primary when the reset was asked for. When that is gone the service cannot
// tell, and does not say that the link is too old.
func TestLinkKeys(t *testing.T) {
	t.Parallel()
	for _, route := range linkRoutes {
		w := recovering(t, "standard")
		w.upTo(route.state)
		token := w.link(route.purpose)
		for _, gone := range []Keys{{Links: prf{0}}, {Links: broken{}}} {
			gone.Secrets, gone.Contacts, gone.Codes = w.rules.Keys.Secrets, w.rules.Keys.Contacts, w.rules.Keys.Codes
			w.rules.Keys = gone
			if err := route.try(w, token); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLinkExpired) || w.stored {
				t.Errorf("%s without its key: got %v, stored %v", route.name, err, w.stored)
			}
			if _, err := w.rules.Link(w.account, route.purpose); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s link without its key: %v", route.name, err)
			}
			if err := route.try(w, "x"+token); !errors.Is(err, ErrLinkExpired) {
				t.Errorf("%s, foreign: got %v: nothing is computed for it", route.name, err)
			}
		}
		w.rules.Keys.Links = prf{primary: 2}
		w.must(route.try(w, token))
	}
	w := recovering(t, "standard")
	w.rules.Keys.Links = prf{primary: 2}
	w.upTo(ResetIdentityPending)
	if w.account.Reset.LinkKey != 2 {
		t.Errorf("a new reset under key %d", w.account.Reset.LinkKey)
	}
}

// TestSignInLinkDies: whenever an approval is left backwards, the sign-in link that was mailed is dead for good, and the next is
// another; the identity and the cancel link stay what they are.
func TestSignInLinkDies(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(w *recovery){
		"bounced": func(w *recovery) {
			w.must(w.act(func(a *Account) error { return w.rules.NoticeBounced(a, w.account.Reset.ID, w.now) }))
		},
		"new address": func(w *recovery) { w.addressChanged("new@example.com") },
		"declined after all": func(w *recovery) {
			w.result("inq_1", IdentityFailed)
			w.must(w.click("inq_2"))
			w.result("inq_2", IdentityPassed)
		},
	} {
		w := recovering(t, "standard")
		w.upTo(ResetReady)
		old, cancel := w.link(LinkSignIn), w.link(LinkCancel)
		back(w)
		w.must(w.decide(DecisionApprove, "reviewer"))
		w.later(w.account.Reset.EffectiveAt.Sub(w.now))
		if _, err := w.useLink(old); !errors.Is(err, ErrLinkExpired) {
			t.Errorf("%s: the old link: %v", name, err)
		}
		w.must(w.act(func(a *Account) error { return w.rules.Sweep(a, w.now) }))
		if now := w.link(LinkSignIn); now == old || w.link(LinkCancel) != cancel {
			t.Errorf("%s: the same sign-in link, or another cancel link", name)
		}
		_, err := w.useLink(w.link(LinkSignIn))
		w.must(err)
	}
}

// TestShowLink: what is shown, and that nothing comes of looking, not even what time would do.
func TestShowLink(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.upTo(ResetApproved)
	asked := w.account.Reset.RequestedAt
	w.later(25 * time.Hour)
	before := w.account
	token := w.link(LinkCancel)
	shown, err := apply(w.world, func(a *Account) (LinkShown, error) { return w.rules.ShowLink(a, token, w.now) })
	w.must(err)
	if r := shown.Reset; shown.Purpose != LinkCancel || r.Reference != "R-7K4Q" || r.State != ResetReady || !r.RequestedAt.Equal(asked) || shown.IP != "203.0.113.7" {
		t.Errorf("shown %+v", shown)
	}
	if w.stored || w.account != before {
		t.Error("a look at a link was stored")
	}
}

// TestLinkIsNotOffered: where recovery has been switched off since, a mailed link opens nothing, and no host is told of it. The
// reset is not lost.
func TestLinkIsNotOffered(t *testing.T) {
	t.Parallel()
	for _, recovery := range []Recovery{AdminOnly, RecoveryOff} {
		w := recovering(t, "standard")
		w.upTo(ResetReady)
		token := w.link(LinkSignIn)
		w.rules.Policy.Recovery = recovery
		var forbidden *Forbidden
		if _, err := w.useLink(token); !errors.As(err, &forbidden) || forbidden.Setting != "recovery" || w.stored {
			t.Errorf("%s: got %v, stored %v", recovery, err, w.stored)
		}
		if _, err := w.ask(); !errors.As(err, &forbidden) || forbidden.Setting != "recovery" || w.stored {
			t.Errorf("%s: asked: got %v, stored %v", recovery, err, w.stored)
		}
		if offer, err := w.offer(NewChallenge{}); err != nil || len(offer.Methods) != 2 {
			t.Errorf("%s: offer %+v, %v", recovery, offer, err)
		}
		w.rules.Policy.Recovery = IdentityReview
		_, err := w.useLink(token)
		w.must(err)
	}
}
