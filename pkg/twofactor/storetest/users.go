package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// hostile are user ids that run together if an engine joins, cuts, folds or normalises them.
var hostile = []twofactor.UserID{
	"a", "ab", "abc", "b", "A", "a ", " a", " ", "a/b", "a/", "/", "a|b", "auth0|1", "auth0|11", "a#b", "#", "a:b", "a%2Fb", "a+b",
	"=", "==", ".", "..", "*", "%", "_", "null", "0", "00", "user", "sentinel", "é", "e\u0301", "日本", "😀",
	`"`, `\`, "'", "<a>",
	twofactor.UserID(strings.Repeat("x", 127)), twofactor.UserID(strings.Repeat("x", 128)),
	twofactor.UserID(strings.Repeat("x", 127) + "y"), twofactor.UserID(strings.Repeat("é", 64)),
}

func usersNeverMix(t *testing.T, store twofactor.Store) {
	stored := map[twofactor.UserID]*twofactor.Account{}
	var waiting []twofactor.Due
	for _, user := range hostile {
		if err := user.Validate(); err != nil {
			t.Fatalf("%q: %v", user, err)
		}
		a := first(user)
		a.Reset = &twofactor.Reset{ID: string(user), State: twofactor.ResetInReview, EnteredAt: at(0)}
		replace(t, store, a)
		stored[user] = a
		waiting = append(waiting, twofactor.Due{User: user, At: at(0)})
		if err := store.Append(t.Context(), user, a.Events); err != nil {
			t.Fatalf("Append(%q): %v", user, err)
		}
	}
	for _, user := range hostile {
		wantStored(t, store, stored[user])
		wantHistory(t, store, user, stored[user].Events...)
	}
	wantDue(t, store, twofactor.WaitingReview, waiting...)

	erased := hostile[:len(hostile)/2]
	for _, user := range erased {
		if err := store.EraseHistory(t.Context(), user, twofactor.Event{ID: "z", At: at(1000)}); err != nil {
			t.Fatalf("EraseHistory(%q): %v", user, err)
		}
		a := next(stored[user])
		a.Reset = nil
		replace(t, store, a)
		stored[user] = a
	}
	for i, user := range hostile {
		wantStored(t, store, stored[user])
		if i < len(erased) {
			wantHistory(t, store, user)
		} else {
			wantHistory(t, store, user, stored[user].Events...)
		}
	}
	wantDue(t, store, twofactor.WaitingReview, waiting[len(erased):]...)
}

// clockFree stores what is long past and far ahead: an engine that asks the clock, to expire or to hide, shows.
func clockFree(t *testing.T, store twofactor.Store) {
	past, future := at(0).AddDate(-55, 0, 0), at(0).AddDate(200, 0, 0)
	for user, when := range map[twofactor.UserID]int{"past": -55, "future": 200} {
		a := first(user)
		a.Authenticator = &twofactor.Authenticator{Params: totp.Default, ActivatedAt: at(0).AddDate(when, 0, 0)}
		a.Grant = &twofactor.OpenGrant{ExpiresAt: at(0).AddDate(when, 0, 0)}
		a.SignIn = &twofactor.Success{At: at(0).AddDate(when, 0, 0)}
		a.Reset = &twofactor.Reset{State: twofactor.ResetReady, ExpiresAt: at(0).AddDate(when, 0, 0)}
		replace(t, store, a)
		wantStored(t, store, a)
	}
	wantDue(t, store, twofactor.WaitingUse, twofactor.Due{User: "past", At: past}, twofactor.Due{User: "future", At: future})

	events := []twofactor.Event{{ID: "3", At: future}, {ID: "2", At: at(0)}, {ID: "1", At: past}}
	if err := store.Append(t.Context(), "u", events); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, store, "u", events...)
	slices.Reverse(events)
	wantAfter(t, store, "u", twofactor.Event{ID: "0", At: past}, events...)
}
