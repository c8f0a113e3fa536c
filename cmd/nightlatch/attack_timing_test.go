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
)

var attackSamples = flag.Int("attack.samples", 50, "answers of each kind that TestAttackTiming times over HTTP; a hundred times as many in the core")

// TestAttackTiming is somebody who measures how long answers take, and wants to learn from it what they do not say: how
// much of a code was right, whether a code that is refused unread would have been, whether a reset is open. (Whether there is
// such a user nobody can ask: each route wants a proof that is of one.) What they get depends on the machine, so it is printed and nothing is demanded: medians, and by the test of Mann and
// Whitney how far the two kinds of samples, taken in turns, are from being drawn from one and the same. Beyond 4 standard
// deviations there is something to see.
func TestAttackTiming(t *testing.T) {
	inCore(t)
	overHTTP(t)
}

// warm is how many answers of each kind are not timed.
const warm = 10

// timed takes samples of two kinds in random turns, and prints how they differ.
func timed(t *testing.T, what string, samples int, one, other func()) {
	t.Helper()
	calls := [2]func(){one, other}
	var took [2][]float64
	for range warm {
		one()
		other()
	}
	for range samples {
		first := rand.IntN(2)
		for _, i := range []int{first, 1 - first} {
			begun := time.Now()
			calls[i]()
			took[i] = append(took[i], float64(time.Since(begun)))
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	median := func(d []float64) time.Duration { return time.Duration(d[len(d)/2]) }
	t.Logf("%s: median %v and %v of %d each, %+.1f standard deviations", what, median(took[0]), median(took[1]), samples, mannWhitney(took[0], took[1]))
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

// inCore times the comparison itself.
func inCore(t *testing.T) {
	secret, err := totp.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	present := totp.Default.StepAt(now)
	right := appCode(secret.Base32(), now)
	nearly := right[:5] + string('0'+(right[5]-'0'+1)%10)
	last := string('0'+(right[0]-'0'+1)%10) + right[1:]
	match := func(code string) func() {
		return func() {
			if _, _, err := totp.Default.Match(secret, code, present, 1); err != nil {
				t.Error(err)
			}
		}
	}
	previous := appCode(secret.Base32(), now.Add(-30*time.Second))
	for _, c := range []struct {
		what       string
		one, other string
	}{
		{"in the core, the right code and a wrong one", right, last},
		{"in the core, the first five digits right and the last five", nearly, last},
		{"in the core, the code of the present step and of the one before", right, previous},
	} {
		timed(t, c.what, 100**attackSamples, match(c.one), match(c.other))
	}
}

// overHTTP times whole answers, of a server in this process.
func overHTTP(t *testing.T) {
	data := dataDir(t)
	l := serveWith(t, options{addr: "127.0.0.1:0", data: data, policy: "standard", quiet: true})
	r := newRemote(l.url, l.serviceKey, 1)
	defer r.close()
	session := sessionsOf(t, data, l.clock.now)
	secrets := map[string]string{}
	for _, user := range []string{"locked", "lost"} {
		secrets[user] = l.enroll(session(user))
	}
	post := func(path, bearer string, body func() string, want int) func() {
		return func() {
			if a, err := r.send(request{method: "POST", path: path, bearer: bearer, body: body()}); err != nil || a.status != want {
				t.Fatalf("%s: %s, %v; want %d", path, a, err, want)
			}
		}
	}
	still := func(text string) func() string { return func() string { return text } }
	// Bodies are made beforehand: what that takes is not the service's.
	ahead := func(body func() string) func() string {
		made := make([]string, warm+*attackSamples)
		for i := range made {
			made[i] = body()
		}
		return func() (next string) {
			next, made = made[0], made[1:]
			return next
		}
	}
	verify := func(code string) func() string {
		return ahead(func() string {
			return jsonOf("challenge", sealedChallenge(t, l.server, "locked"), "method", "totp", "code", code)
		})
	}

	l.clock.offset.Add(90)
	for _, code := range wrongCodes(secrets["locked"], l.clock.now(), 8) {
		l.post("/v1/check", session("locked"), jsonOf("code", code))
	}
	l.post("/v1/check", session("locked"), jsonOf("code", "000000"))
	timed(t, "over HTTP, the right code and a wrong one while both are refused", *attackSamples,
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
	timed(t, "over HTTP, a service key that begins right and one that does not", *attackSamples,
		post("/v1/challenges", l.serviceKey[:len(l.serviceKey)-1], still("{}"), 403), post("/v1/challenges", noise(l.serviceKey), still("{}"), 403))
}
