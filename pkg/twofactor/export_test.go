package twofactor

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withHistory is a store in which nothing has happened yet.
type withHistory struct{ *memory }

func (withHistory) History(_ context.Context, _ UserID, page Page) (HistoryPage, error) {
	if page.Cursor != "" {
		return HistoryPage{}, ErrCursor
	}
	return HistoryPage{}, nil
}

// TestExport: all that is kept is told, in the clear, and nothing that opens a door.
func TestExport(t *testing.T) {
	t.Parallel()
	w := recovering(t, "standard")
	w.addressChanged("old@example.com")
	w.addressChanged("new@example.com")
	w.fail(1)
	w.must(w.signIn(w.nextCode()))
	setUp, err := w.replace(Replace{Request: w.request(), Code: w.nextCode()})
	w.must(err)
	w.upTo(ResetApproved)
	s := serve(w.world)
	s.service.Store = withHistory{s.store}
	got, err := s.service.Export(t.Context(), alice, Page{Limit: 10})
	w.must(err)
	a := w.account
	want := &Exported{
		State: StateEnabled, Contact: Contact{Email: "new@example.com"}, Previous: &Contact{Email: "old@example.com"}, PreviousUntil: a.Previous.Until,
		AddressChanged: a.AddressChanged, FreshSince: a.FreshSince, Failures: 1, LastSignIn: a.SignIn.At, ResetReviews: a.ResetReviews, ResetMails: a.ResetMails,
		Authenticator: &Exhibit{Since: a.Authenticator.ActivatedAt, Params: &a.Authenticator.Params, LastUsed: got.Account.Authenticator.LastUsed},
		Pending:       &Exhibit{Since: a.Pending.BegunAt, Params: &a.Pending.Authenticator.Params},
		BackupCode:    &Exhibit{Since: a.BackupCode.IssuedAt, Length: 13},
		Reset: &Recovered{
			ID: a.Reset.ID, Reference: "R-7K4Q", State: ResetApproved, RequestedAt: a.Reset.RequestedAt, EnteredAt: a.Reset.EnteredAt, EffectiveAt: a.Reset.EffectiveAt,
			ExpiresAt: a.Reset.ExpiresAt, IP: "203.0.113.7", UserAgent: "test", Inquiry: "inq_1", Approvals: a.Reset.Approvals,
			OnFile: w.subject, Verified: &Person{Name: "Alice Doe"},
		},
	}
	if diff := cmp.Diff(want, got.Account); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if last := got.Account.Authenticator.LastUsed; last.After(w.now) || w.now.Sub(last) > 48*time.Hour {
		t.Errorf("last used %v", last)
	}
	text, err := json.Marshal(got)
	w.must(err)
	for what, secret := range map[string][]byte{
		"the secret": w.phone.secret, "the next secret": setUp.Secret, "the backup code": []byte(w.backup), "its digest": a.BackupCode.Digest[:],
		"what is sealed": a.Authenticator.Secret.Box, "the contact, sealed": a.Contact.Box, "a link": []byte(w.link(LinkCancel)[len(a.Reset.ID):]),
	} {
		for _, written := range []string{
			string(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), hex.EncodeToString(secret),
			base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret),
		} {
			if strings.Contains(string(text), written) {
				t.Errorf("the export has %s: %s", what, text)
			}
		}
	}
}

// TestExportIsWhole: each part of an account is in the export, or is known to open doors, or to say nothing about anybody.
func TestExportIsWhole(t *testing.T) {
	t.Parallel()
	known := map[string]string{
		"user": "", "auth": "authenticator", "pending": "pending", "backup": "backup_code", "grant": "grant_until", "codes": "failures",
		"contact": "contact", "previous": "previous_contact", "addr_changed": "address_changed", "fresh_since": "fresh_since",
		"sign_in": "last_sign_in", "reset": "reset", "reset_reviews": "reset_reviews", "reset_mails": "reset_mails",
		"events": "", "past": "", // are in the history
		// What keeps the item and the attempts in order.
		"schema": "", "version": "", "writes": "", "inc": "", "epoch": "", "gen": "", "backups": "", "challenges": "", "answered": "", "hush": "", "end": "",
	}
	exported := names(reflect.TypeFor[Exported]())
	account := names(reflect.TypeFor[Account]())
	for name := range account {
		to, ok := known[name]
		if !ok || to != "" && !exported[to] {
			t.Errorf("%s of an account is in no export, and it is not said why", name)
		}
	}
	for name := range known {
		if !account[name] {
			t.Errorf("an account has no %s", name)
		}
	}
}

func names(of reflect.Type) map[string]bool {
	all := map[string]bool{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		all[name] = true
	}
	return all
}

func TestExportFails(t *testing.T) {
	t.Parallel()
	s := serve(enabledWorld(t, "standard"))
	s.service.Store = withHistory{s.store}
	s.addressChanged("alice@example.com")
	s.store.accounts[alice] = s.account
	if got, err := s.service.Export(t.Context(), "nobody", Page{Limit: 1}); err != nil || got.Account.State != StateDisabled || len(got.History) != 0 {
		t.Errorf("of nobody: %+v, %v", got, err)
	}
	if got, err := s.service.Export(t.Context(), alice, Page{Limit: 1, Cursor: "none"}); !errors.Is(err, ErrCursor) {
		t.Errorf("with a wrong cursor: %+v, %v", got, err)
	}
	damaged := *s.account
	damaged.Contact = &Sealed{Generation: 1, Box: []byte("x")}
	s.store.accounts[alice] = &damaged
	if _, err := s.service.Export(t.Context(), alice, Page{Limit: 1}); !errors.Is(err, ErrSealed) {
		t.Errorf("what does not open: %v", err)
	}
}
