package handler_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// box is a sealed part of an account: where it is, and what it is there.
type box struct {
	user, field string
	sealed      twofactor.Sealed
}

// boxes finds every sealed part of an account, however deep, by its Go path.
func boxes(a *twofactor.Account) (found []box) {
	walkSealed(reflect.ValueOf(a).Elem(), "", func(field string, s *twofactor.Sealed) {
		found = append(found, box{string(a.User), field, *s})
	})
	return found
}

func walkSealed(v reflect.Value, path string, visit func(field string, s *twofactor.Sealed)) {
	switch {
	case v.Type() == reflect.TypeFor[twofactor.Sealed]():
		visit(strings.TrimPrefix(path, "."), v.Addr().Interface().(*twofactor.Sealed))
	case v.Kind() == reflect.Pointer && !v.IsNil():
		walkSealed(v.Elem(), path, visit)
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				walkSealed(v.Field(i), path+"."+f.Name, visit)
			}
		}
	}
}

// TestAttackSwappedCiphertexts is somebody who can write the table, and has no key: they put the ciphertext of every
// sealed part of an account in the place of every other, of the same user, of another one, of a user who was erased, and
// of another generation, with and without its generation. They want a code of a phone that they have to open an account,
// or an address or a person's data to be shown in another's place. They get an error from everything that would read it,
// and an alarm; no answer has anything of it, and nothing is written.
func TestAttackSwappedCiphertexts(t *testing.T) {
	t.Parallel()
	r := newRecovery(t, "standard")
	r.unheld = true
	phones := map[string]phone{}
	enrolments := map[string]string{}
	// erin's first life is over, alice and bob have all that can be sealed.
	phones["erin, before"], _ = r.enrolled("erin")
	former := boxes(r.account("erin"))
	r.want(host().to("erin"), "POST /v1/users/{user}/events", `{"type":"deleted"}`, 204, "")
	r.wind(time.Second)
	phones["erin"], _ = r.enrolled("erin")
	for _, user := range []string{"alice", "bob"} {
		phones[user], _ = r.enrolled(user)
		r.challenge(user)
		r.want(host().to(user), "POST /v1/users/{user}/events", body("type", "address_changed", "email", user+"@new.example"), 204, "")
		r.wind(90 * time.Second)
		begun := r.want(r.session(user), "POST /v1/enroll", body("code", phones[user].code()), 200, "")
		phones[user+", to be confirmed"], enrolments[user] = phone{r.world, begun.str("manual_secret")}, begun.str("enrollment_id")
		id := r.want(anyone, "POST /v1/reset-request", body("challenge", r.challengeAs(user, aliceOnFile)), 202, "").str("id")
		inquiry := r.clicked(user)
		r.persona.decides(inquiry, twofactor.IdentityPassed)
		r.hint(inquiry, id)
		r.wind(90 * time.Second)
	}
	var sources []box
	for _, user := range []string{"alice", "bob", "erin"} {
		sources = append(sources, boxes(r.account(user))...)
	}
	sources = append(sources, former...)
	swaps, asked, opened := 0, 0, 0
	defer func() {
		t.Logf("%d ciphertexts put in other places, %d requests that would read one: %d opened", swaps, asked, opened)
	}()
	for _, user := range []string{"alice", "bob", "erin"} {
		fields := boxes(r.account(user))
		if want := 6; user != "erin" && len(fields) != want {
			t.Fatalf("%s has %d sealed parts, want %d: %+v", user, len(fields), want, fields)
		}
		challenge := r.challengeAs(user, "{}")
		for _, to := range fields {
			for i, from := range append(sources, to, to) {
				s := twofactor.Sealed{Generation: to.sealed.Generation, Box: from.sealed.Box}
				again := i - len(sources) // the last two are the same box as another generation
				if from.user == to.user && from.field == to.field && again < 0 && string(from.sealed.Box) == string(to.sealed.Box) {
					continue
				}
				generations := []int64{to.sealed.Generation, from.sealed.Generation}
				if again >= 0 {
					generations = []int64{to.sealed.Generation + 1 - 2*int64(again)}
				}
				for _, s.Generation = range generations {
					swaps++
					undo := r.put(user, to.field, s)
					held := r.unchanged(user)
					requests, successes := r.ask(user, to.field, fmt.Sprintf("%s of %s as %s of %s", from.field, from.user, to.field, user), phones, enrolments, challenge)
					asked, opened = asked+requests, opened+successes
					held()
					undo()
				}
			}
		}
		// All of it was right where it was.
		r.want(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", phones[user].code()), 200, "")
	}
}

// put writes a sealed part of a stored account, as whoever can write the table. What it returns puts the former one back.
func (r *recovery) put(user, field string, s twofactor.Sealed) (undo func()) {
	r.t.Helper()
	a := r.account(user)
	var before twofactor.Sealed
	walkSealed(reflect.ValueOf(a).Elem(), "", func(f string, p *twofactor.Sealed) {
		if f == field {
			before, *p = *p, s
		}
	})
	a.Version++
	a.Writes = []twofactor.WriteID{twofactor.NewWriteID()}
	if err := r.world.store.Replace(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
	return func() { r.put(user, field, before) }
}

// ask sends whatever reads a sealed part, and expects to be told nothing. It returns how many requests that were, and how many
// were answered with anything but an error.
func (r *recovery) ask(user, field, what string, phones map[string]phone, enrolments map[string]string, challenge string) (asked, opened int) {
	r.t.Helper()
	refused := func(c caller, route, text string) {
		r.t.Helper()
		asked++
		r.logs.Reset()
		a := r.do(c, route, text)
		if a.Status < 500 {
			opened++
		}
		if a.Status != 500 || a.str("code") != "internal" || !strings.Contains(r.logs.String(), `"msg":"sealed"`) {
			r.t.Errorf("%s: %s %s: %d %s; logged %s", what, route, text, a.Status, a.Text, r.logs)
		}
	}
	switch field {
	case "Authenticator.Secret":
		for _, p := range phones {
			refused(anyone, "POST /v1/verify", body("challenge", challenge, "method", "totp", "code", p.code()))
		}
		refused(r.session(user), "POST /v1/check", body("code", phones[user].code()))
	case "Pending.Authenticator.Secret":
		for _, p := range phones {
			refused(r.session(user), "POST /v1/enroll/confirm", body("enrollment_id", enrolments[user], "code", p.code()))
		}
	case "Contact":
		refused(host(), "POST /v1/challenges", body("user_id", user, "nonce", "n"))
		refused(anyone, "POST /v1/reset-request", body("challenge", challenge))
	case "Reset.Subject", "Reset.Identity":
		refused(r.reviewer("carol").about(r.reset(user).ID), "GET /v1/reviews/{id}", "")
	case "Previous.Contact":
		keys, err := r.deps.Service.Keys(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		asked++ // by the mailer
		told, err := twofactor.Rules{Policy: r.deps.Service.Policy, Keys: keys}.Addressee(r.account(user), twofactor.MailToPrevious, r.clock())
		if err == nil {
			opened++
		}
		if !errors.Is(err, twofactor.ErrSealed) {
			r.t.Errorf("%s: %+v, %v", what, told, err)
		}
	default:
		r.t.Errorf("%s: nothing is known to read %s: add it", what, field)
	}
	return asked, opened
}
