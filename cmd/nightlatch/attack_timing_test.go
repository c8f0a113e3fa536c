package main

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/token"
	"github.com/nightlatch/nightlatch/pkg/totp"
	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

var attackSamples = flag.Int("attack.samples", 300, "answers of each kind that TestAttackTiming times over HTTP; forty times as many in the core")

// TestAttackTiming is somebody who measures how long answers take, and wants to learn from it what they do not say: how
// wrong a wrong code is, of which time step a right one was, whether a code that is refused unread would have been right,
// whether a reset is open. (Whether there is such a user nobody can ask: each route wants a proof that is of one.) Two
// kinds of samples are taken in turns, and by the test of Mann and Whitney it is reckoned how far they are from being
// drawn from one and the same. What is told of an open reset is printed only; all else must not be told.
func TestAttackTiming(t *testing.T) {
	data := dataDir(t)
	l := serveWith(t, options{addr: "127.0.0.1:0", data: data, policy: "standard", quiet: true})
	t.Run("core", func(t *testing.T) { inCore(t, l) })
	t.Run("HTTP", func(t *testing.T) { overHTTP(t, l, sessionsOf(t, data, l.clock.now)) })
}

const (
	// warm is how many answers of each kind are not timed.
	warm = 100
	// tells is from how many standard deviations on a difference is no chance, and no load on the machine either, which meets
	// both kinds; visible is which part of the median it has to be besides: of a comparison, 30 ns. Below are caches and
	// guessed branches, also of this test.
	tells, visible = 15, 0.03
)

// timed takes samples of two kinds in random turns, and returns whether they can be told apart. A kind prepares a request, which is not
// timed, and returns what is.
func timed(t *testing.T, what string, samples int, kinds ...func() func()) bool {
	t.Helper()
	var took [2][]float64
	for i := range warm + samples {
		first := rand.IntN(2)
		for _, kind := range []int{first, 1 - first} {
			call := kinds[kind]()
			begun := time.Now()
			call()
			if i >= warm {
				took[kind] = append(took[kind], float64(time.Since(begun)))
			}
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	one, other := took[0][samples/2], took[1][samples/2]
	off := mannWhitney(took[0], took[1])
	t.Logf("%s: median %v and %v of %d each, %+.1f standard deviations", what, time.Duration(one), time.Duration(other), samples, off)
	return math.Abs(off) > tells && math.Abs(one-other) > visible*min(one, other)
}

// alike fails the test if two kinds can be told apart three times in a row.
func alike(t *testing.T, what string, samples int, kinds ...func() func()) {
	t.Helper()
	if most := math.Sqrt(1.5 * float64(samples)); most < 1.2*tells {
		t.Fatalf("%d samples are at most %.1f standard deviations apart: too few to tell anything", samples, most)
	}
	for range 3 {
		if !timed(t, what, samples, kinds...) {
			return
		}
	}
	t.Errorf("%s: how long it takes tells them apart", what)
}

// mannWhitney is the normal approximation of the rank-sum test, with ties, of sorted samples: how many standard deviations
// the ranks of a are above what they would be if both were drawn from the same.
func mannWhitney(a, b []float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	rank := func(v float64) float64 { // the mean rank of those alike
		first, _ := slices.BinarySearch(all, v)
		last, _ := slices.BinarySearch(all, math.Nextafter(v, math.Inf(1)))
		return float64(first+last+1) / 2
	}
	ranks, ties := 0.0, 0.0
	for _, v := range a {
		ranks += rank(v)
	}
	for i := 0; i < len(all); {
		next, _ := slices.BinarySearch(all, math.Nextafter(all[i], math.Inf(1)))
		alike := float64(next - i)
		ties += alike*alike*alike - alike
		i = next
	}
	spread := math.Sqrt(n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1))))
	if spread == 0 {
		return 0
	}
	return (ranks - n*(n+m+1)/2) / spread
}

func TestMannWhitney(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, -1.964}, // W = 0 of mean 4.5 and variance 5.25
		{[]float64{4, 5, 6}, []float64{1, 2, 3}, 1.964},
		{[]float64{1, 4}, []float64{2, 3}, 0},
		{[]float64{1, 1}, []float64{1, 1}, 0},
		{[]float64{1, 1, 2}, []float64{1, 2, 2}, -0.745}, // U = 3 of mean 4.5, variance 4.05 by the ties
	} {
		if got := mannWhitney(test.a, test.b); math.Abs(got-test.want) > 0.001 {
			t.Errorf("%v, %v: %.3f, want %.3f", test.a, test.b, got, test.want)
		}
	}
}

// inCore times the comparison itself, and the rule of a sign-in around it.
func inCore(t *testing.T, l *live) {
	service := &twofactor.Service{Store: l.store, Policy: l.functions.Load().policy, Keys: l.keys.Rules, Now: l.clock.now}
	text, now := enrolled(t, service, "core")
	now = now.Add(5 * time.Minute)
	secret, err := totp.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	right, previous := appCode(text, now), appCode(text, now.Add(-30*time.Second))
	nearly, last := misread(text, now, 5), misread(text, now, 0)

	match := func(code string) func() func() {
		return func() func() {
			return func() {
				if _, _, err := totp.Default.Match(secret, code, totp.Default.StepAt(now), 1); err != nil {
					t.Error(err)
				}
			}
		}
	}
	alike(t, "the comparison, with the right code and a wrong one", 40**attackSamples, match(right), match(last))
	alike(t, "the comparison, with the code of the present step and of the one before", 40**attackSamples, match(right), match(previous))
	alike(t, "the comparison, with the first five digits right and the last five", 40**attackSamples, match(nearly), match(last))

	keys, err := l.keys.Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules := twofactor.Rules{Policy: service.Policy, Keys: keys}
	challenge := twofactor.Challenge{ID: twofactor.RandomDigest(), Purpose: twofactor.PurposeVerify, User: "core", ExpiresAt: now.Add(time.Minute)}
	verify := func(code string, in bool) func() func() {
		req := twofactor.NewVerify(twofactor.Request{}, challenge, twofactor.MethodTOTP, code)
		return func() func() {
			account, err := l.store.Load(t.Context(), "core")
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := rules.Verify(account, req, now); (err == nil) != in {
					t.Fatal(err)
				}
			}
		}
	}
	alike(t, "a sign-in, with the code of the present step and of the one before", 40**attackSamples, verify(right, true), verify(previous, true))
	alike(t, "a sign-in, with the first five digits right and the last five", 40**attackSamples, verify(nearly, false), verify(last, false))
}

// misread is the right code but for a digit, and that of no step that is searched.
func misread(secret string, now time.Time, digit int) string {
	code, near := []byte(appCode(secret, now)), nearCodes(secret, now)
	for {
		if code[digit] = '0' + (code[digit]-'0'+1)%10; !near[string(code)] {
			return string(code)
		}
	}
}

// overHTTP times whole answers, of a server in this process.
func overHTTP(t *testing.T, l *live, session func(user string) string) {
	r := newRemote(l.url, l.serviceKey, 1)
	defer r.close()
	secrets := map[string]string{}
	for _, user := range []string{"locked", "lost"} {
		secrets[user] = l.enroll(session(user))
	}
	post := func(path, bearer string, body func() string, want int) func() func() {
		return func() func() {
			q := request{method: "POST", path: path, bearer: bearer, body: body()}
			return func() {
				if a, err := r.send(q); err != nil || a.status != want {
					t.Fatalf("%s: %s, %v; want %d", path, a, err, want)
				}
			}
		}
	}
	still := func(text string) func() string { return func() string { return text } }
	verify := func(code string) func() string {
		return func() string {
			return jsonOf("challenge", sealedChallenge(t, l.server, "locked"), "method", "totp", "code", code)
		}
	}

	l.clock.offset.Add(90)
	for _, code := range wrongCodes(secrets["locked"], l.clock.now(), 8) {
		l.post("/v1/check", session("locked"), jsonOf("code", code))
	}
	l.post("/v1/check", session("locked"), jsonOf("code", "000000"))
	alike(t, "over HTTP, the right code and a wrong one while both are refused", *attackSamples,
		post("/v1/verify", "", verify(appCode(secrets["locked"], l.clock.now())), 429),
		post("/v1/verify", "", verify(wrongCodes(secrets["locked"], l.clock.now(), 1)[0]), 429))

	reset := l.want(202, l.post("/v1/reset-request", "", jsonOf("challenge", l.want(200, l.post("/v1/challenges", l.serviceKey,
		jsonOf("user_id", "lost", "email", "lost@example.com", "nonce", "n"))).str("challenge")))).str("id")
	tag := "." + strings.Repeat("A", 22)
	keys, err := l.keys.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	over, _, err := token.NewResetID(keys.IDs, "lost")
	if err != nil {
		t.Fatal(err)
	}
	timed(t, "over HTTP, a forged link to the open reset of a user and to one that is none of theirs", *attackSamples,
		post("/v1/reset/show", "", still(jsonOf("token", reset+tag)), 410),
		post("/v1/reset/show", "", still(jsonOf("token", over+tag)), 410))
	alike(t, "over HTTP, a service key that begins right and one that does not", *attackSamples,
		post("/v1/challenges", l.serviceKey[:len(l.serviceKey)-1], still("{}"), 403), post("/v1/challenges", noise(l.serviceKey), still("{}"), 403))
}
