package identity_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// outcome is what came of a call: what it took, and what arrived.
type outcome struct {
	err      error
	took     time.Duration
	attempts []asked
}

// faced has a call meet a Persona that answers by the steps.
func faced(t *testing.T, call func(context.Context, *identity.Client) error, steps ...http.HandlerFunc) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &persona{steps: steps}
		c := newClient(t, identity.Config{Transport: serve(t, p)})
		begun := time.Now()
		o.err = call(t.Context(), c)
		o.took = time.Since(begun)
		o.attempts = p.attempts()
	})
	if o.err != nil && strings.Contains(o.err.Error(), apiKey) {
		t.Errorf("the error tells the key: %v", o.err)
	}
	return o
}

// The calls, each wanting the answer that the documentation shows, and nothing with an error.
func create(ctx context.Context, c *identity.Client) error {
	id, err := c.Create(ctx, reference, 1)
	if (err == nil) != (id == inquiryID) || err != nil && id != "" {
		return fmt.Errorf("got %q with %v", id, err)
	}
	return err
}

func fetch(ctx context.Context, c *identity.Client) error {
	inquiry, err := c.Fetch(ctx, inquiryID)
	if (err == nil) != (inquiry.Status == identity.StatusApproved) || err != nil && inquiry != (identity.Inquiry{}) {
		return fmt.Errorf("got %+v with %v", inquiry, err)
	}
	return err
}

func oneTimeLink(ctx context.Context, c *identity.Client) error {
	link, err := c.OneTimeLink(ctx, inquiryID)
	if (err == nil) != (link == "http://localhost/verify?code=us1-5uHpLZQ1aXm") || err != nil && link != "" {
		return fmt.Errorf("got %q with %v", link, err)
	}
	return err
}

var calls = map[string]func(context.Context, *identity.Client) error{"Create": create, "Fetch": fetch, "OneTimeLink": oneTimeLink}

// right is the step that answers as the documentation shows.
func right(t *testing.T, call string) http.HandlerFunc {
	switch call {
	case "Create":
		return answers(201, string(read(t, "create_an_inquiry.json")))
	case "Fetch":
		return answers(200, string(read(t, "retrieve_an_inquiry.json")))
	}
	return answers(200, strings.Replace(string(read(t, "generate_a_one_time_link.json")), "https://withpersona.com", "http://localhost", 1))
}

// What may come to something is tried again, and what does not is not told as anything.
func TestTemporaryFaults(t *testing.T) {
	t.Parallel()
	elsewhere := 0
	for name, fault := range map[string]http.HandlerFunc{
		"500":                        refuses(500),
		"502, a page":                answers(502, "<html><h1>Bad Gateway</h1></html>"),
		"503":                        refuses(503),
		"504, nothing":               answers(504, ""),
		"429":                        refuses(429),
		"429, a page":                answers(429, "<html>"),
		"408":                        refuses(408),
		"no answer":                  hangs,
		"cut off":                    cuts(""),
		"cut off after the status":   cuts("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
		"cut off in the middle":      cuts("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"data\":{\"type\":\"inquiry\""),
		"not HTTP":                   cuts("SSH-2.0-OpenSSH_9.9\r\n"),
		"nothing":                    answers(200, ""),
		"a page":                     answers(200, "<!doctype html><title>Sign in to the Wi-Fi</title>", "Content-Type", "text/html"),
		"null":                       answers(200, "null"),
		"a list":                     answers(200, "[]"),
		"empty":                      answers(200, "{}"),
		"no attributes":              answers(200, `{"data":{"type":"inquiry","id":""}}`),
		"something else":             answers(200, `{"data":{"type":"account","id":"`+inquiryID+`","attributes":{"status":"approved"}},"meta":{"one-time-link":"http://localhost/"}}`),
		"numbers":                    answers(200, `{"data":{"type":"inquiry","id":1,"attributes":{"status":2}},"meta":{"one-time-link":3}}`),
		"another inquiry's":          answers(200, `{"data":{"type":"inquiry","id":"inq_2","attributes":{"status":"approved"}},"meta":{"one-time-link":"http://localhost/"}}`),
		"an id that leads elsewhere": answers(200, `{"data":{"type":"inquiry","id":"../accounts","attributes":{"status":"approved"}},"meta":{"one-time-link":"http://localhost/"}}`),
		"202":                        answers(202, string(read(t, "retrieve_an_inquiry.json"))),
		"204":                        answers(204, ""),
		"302":                        answers(302, "", "Location", "http://localhost/elsewhere"),
		"307":                        answers(307, "", "Location", "http://localhost/elsewhere"),
		"404, a page":                answers(404, "<html><h1>Not Found</h1></html>"),
		"404, other JSON":            answers(404, `{"message":"no Route matched with those values"}`),
		"404, no errors":             answers(404, `{"errors":[]}`),
		"404, cut off":               cuts("HTTP/1.1 404 Not Found\r\nContent-Length: 900\r\n\r\n{\"errors\":[{"),
		"403, a page":                answers(403, "<html>Request blocked.</html>"),
	} {
		if strings.HasPrefix(name, "30") {
			redirect := fault
			fault = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					elsewhere++
				}
				redirect(w, r)
			}
		}
		for call, do := range calls {
			if call == "Create" && name == "another inquiry's" {
				continue // that is what it is for
			}
			o := faced(t, do, fault)
			if !errors.Is(o.err, identity.ErrUnavailable) {
				t.Errorf("%s: %s: got %v", call, name, o.err)
			}
			if len(o.attempts) != 3 || o.took > 10*time.Second {
				t.Errorf("%s: %s: %d attempts in %v, want 3", call, name, len(o.attempts), o.took)
			}
			if o = faced(t, do, fault, fault, right(t, call)); o.err != nil || len(o.attempts) != 3 {
				t.Errorf("%s: %s twice: got %v after %d attempts", call, name, o.err, len(o.attempts))
			}
		}
	}
	if elsewhere > 0 {
		t.Errorf("redirects were followed, %d times", elsewhere)
	}
}

// An answer is final where it says so.
func TestFinalRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		call     string
		status   int
		want     error
		attempts int // a request with an Idempotency-Key has another attempt, with another
	}{
		{"Create", 400, identity.ErrRefused, 2},
		{"Create", 401, identity.ErrRefused, 1},
		{"Create", 403, identity.ErrRefused, 2},
		{"Create", 404, identity.ErrRefused, 2},
		{"Create", 409, identity.ErrRefused, 2},
		{"Create", 422, identity.ErrRefused, 2},
		{"Fetch", 400, identity.ErrRefused, 1},
		{"Fetch", 401, identity.ErrRefused, 1},
		{"Fetch", 403, identity.ErrRefused, 1},
		{"Fetch", 404, identity.ErrNotFound, 1},
		{"Fetch", 409, identity.ErrRefused, 1},
		{"OneTimeLink", 400, identity.ErrRefused, 1},
		{"OneTimeLink", 401, identity.ErrRefused, 1},
		{"OneTimeLink", 403, identity.ErrRefused, 1},
		{"OneTimeLink", 404, identity.ErrNotFound, 1},
		{"OneTimeLink", 409, identity.ErrClosed, 1},
		{"OneTimeLink", 422, identity.ErrClosed, 1},
	} {
		o := faced(t, calls[test.call], refuses(test.status))
		if !errors.Is(o.err, test.want) || len(o.attempts) != test.attempts {
			t.Errorf("%s: %d: got %v after %d attempts, want %v after %d", test.call, test.status, o.err, len(o.attempts), test.want, test.attempts)
		}
		for _, other := range []error{identity.ErrUnavailable, identity.ErrNotFound, identity.ErrClosed, identity.ErrRefused} {
			if other != test.want && errors.Is(o.err, other) {
				t.Errorf("%s: %d: is also %v", test.call, test.status, other)
			}
		}
		if o.err == nil || !strings.Contains(o.err.Error(), "Title: details") {
			t.Errorf("%s: %d: the error does not say why: %v", test.call, test.status, o.err)
		}
	}
	o := faced(t, fetch, answers(404, string(read(t, "error.json"))))
	if !errors.Is(o.err, identity.ErrNotFound) {
		t.Errorf("as documented: got %v", o.err)
	}
	// The words are Persona's, the line is ours.
	o = faced(t, fetch, answers(403, `{"errors":[{"title":"a\u001b[2J\nb","details":"`+strings.Repeat("c", 4000)+`"}]}`))
	if o.err == nil || strings.ContainsAny(o.err.Error(), "\x1b\n") || len(o.err.Error()) > 512 {
		t.Errorf("got %v", o.err)
	}
	for _, title := range []string{"a", "ab"} {
		o = faced(t, fetch, answers(403, `{"errors":[{"title":"`+title+`","details":"`+strings.Repeat("é", 2000)+`"}]}`))
		if o.err == nil || !utf8.ValidString(o.err.Error()) || !strings.HasSuffix(o.err.Error(), "é…") {
			t.Errorf("cut: got %v", o.err)
		}
	}
}

// An answer that does not end is not read to its end.
func TestHugeAnswers(t *testing.T) {
	t.Parallel()
	const most = 8 << 20
	for call, do := range calls {
		sent := 0
		o := faced(t, do, func(w http.ResponseWriter, r *http.Request) {
			right(t, call)(w, r)
			for chunk, n := strings.Repeat(" ", 1<<14), 0; n < most; n += len(chunk) {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
				sent = max(sent, n)
			}
		})
		if !errors.Is(o.err, identity.ErrUnavailable) || !strings.Contains(o.err.Error(), "longer than") || sent > 2<<20 {
			t.Errorf("%s: got %v after %d bytes", call, o.err, sent)
		}
		// One that is long, but not too long, is read.
		o = faced(t, do, func(w http.ResponseWriter, r *http.Request) {
			right(t, call)(w, r)
			io.WriteString(w, strings.Repeat(" ", 1<<20-1<<14))
		})
		if o.err != nil {
			t.Errorf("%s: a long answer: %v", call, o.err)
		}
	}
}

// A lost answer is asked for again under the same Idempotency-Key, so that Persona repeats it. An answer that Persona
// goes on repeating is not asked for again.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults []http.HandlerFunc
		want   []int // which key each attempt has: 0 is the first
	}{
		"answered straight away": {nil, []int{0}},
		"lost":                   {[]http.HandlerFunc{hangs, cuts("")}, []int{0, 0, 0}},
		"limited":                {[]http.HandlerFunc{refuses(429), refuses(429)}, []int{0, 0, 0}},
		"not understood":         {[]http.HandlerFunc{answers(201, "{}"), answers(404, "<html>")}, []int{0, 0, 0}},
		"500":                    {[]http.HandlerFunc{refuses(500)}, []int{0, 1}},
		"500 twice":              {[]http.HandlerFunc{refuses(500), refuses(502)}, []int{0, 1, 2}},
		"500, then lost":         {[]http.HandlerFunc{refuses(500), hangs}, []int{0, 1, 1}},
		"lost, then 500":         {[]http.HandlerFunc{hangs, refuses(503)}, []int{0, 0, 1}},
		"wrong, and put right":   {[]http.HandlerFunc{refuses(422)}, []int{0, 1}},
		"lost, then wrong":       {[]http.HandlerFunc{hangs, refuses(409)}, []int{0, 0, 1}},
		"wrong, then lost":       {[]http.HandlerFunc{refuses(400), hangs}, []int{0, 1, 1}},
	} {
		o := faced(t, create, append(test.faults, right(t, "Create"))...)
		known := []string{reference + "-1"}
		var got []int
		for _, a := range o.attempts {
			key := a.header.Get("Idempotency-Key")
			if !slices.Contains(known, key) {
				known = append(known, key)
			}
			got = append(got, slices.Index(known, key))
			if a.body != o.attempts[0].body {
				t.Errorf("%s: another body under the key %q: %s", name, key, a.body)
			}
		}
		if o.err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v with the keys %v of %q, want %v", name, o.err, got, known, test.want)
		}
		for _, key := range known[1:] {
			if _, err := strconv.Atoi(strings.TrimPrefix(key, reference+"-")); err == nil {
				t.Errorf("%s: %q could be the first key of another attempt", name, key)
			}
		}
	}
}

// Persona repeats what it once answered under a key, also 500. Nobody is locked out by that, and nobody gets two inquiries.
func TestPersonaKeepsAnswers(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		body   string
	}
	for name, test := range map[string]struct {
		broken []int // what goes wrong first, and is kept
		want   []error
	}{
		"nothing is broken":       {nil, []error{nil, nil}},
		"one 500":                 {[]int{500}, []error{nil}},
		"500 for a whole call":    {[]int{500, 500, 500}, []error{identity.ErrUnavailable, nil}},
		"500 for two whole calls": {[]int{500, 500, 500, 500, 500}, []error{identity.ErrUnavailable, identity.ErrUnavailable, nil}},
		"a template put right":    {[]int{422, 422}, []error{identity.ErrRefused, nil}},
	} {
		synctest.Test(t, func(t *testing.T) {
			kept := map[string]answer{}
			broken, made := test.broken, 0
			c := newClient(t, identity.Config{Transport: direct(func(w http.ResponseWriter, r *http.Request) {
				key := r.Header.Get("Idempotency-Key")
				if _, again := kept[key]; !again {
					if len(broken) > 0 {
						kept[key] = answer{broken[0], `{"errors":[{"title":"broken"}]}`}
						broken = broken[1:]
					} else {
						made++
						kept[key] = answer{201, fmt.Sprintf(`{"data":{"type":"inquiry","id":"inq_%d"}}`, made)}
					}
				}
				w.WriteHeader(kept[key].status)
				io.WriteString(w, kept[key].body)
			})})
			for i, want := range test.want {
				id, err := c.Create(t.Context(), reference, 1)
				if !errors.Is(err, want) || (err == nil) != (id == "inq_1") {
					t.Errorf("%s: call %d: got %q, %v; want %v", name, i, id, err, want)
				}
			}
			if made != 1 {
				t.Errorf("%s: %d inquiries were made", name, made)
			}
			if id, err := c.Create(t.Context(), reference, 2); err != nil || id != "inq_2" {
				t.Errorf("%s: the next attempt: got %q, %v", name, id, err)
			}
		})
	}
}

// Persona says when it may be asked again, and the caller how long there is.
func TestPauses(t *testing.T) {
	t.Parallel()
	const pause, attempt = 200 * time.Millisecond, 3 * time.Second
	within := func(d time.Duration) func(context.Context, *identity.Client) error {
		return func(ctx context.Context, c *identity.Client) error {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return fetch(ctx, c)
		}
	}
	dated := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(4*time.Second).UTC().Format(http.TimeFormat))
		refuses(429)(w, r)
	}
	for name, test := range map[string]struct {
		call  func(context.Context, *identity.Client) error
		steps []http.HandlerFunc
		want  error
		asked int
		took  time.Duration
	}{
		"right away":                  {fetch, nil, nil, 1, 0},
		"after a pause":               {fetch, []http.HandlerFunc{refuses(500)}, nil, 2, pause},
		"after two":                   {fetch, []http.HandlerFunc{refuses(500), refuses(500)}, nil, 3, 3 * pause},
		"given up":                    {fetch, []http.HandlerFunc{refuses(500), refuses(500), refuses(500)}, identity.ErrUnavailable, 3, 3 * pause},
		"never answered":              {fetch, []http.HandlerFunc{hangs, hangs, hangs}, identity.ErrUnavailable, 3, 3*attempt + 3*pause},
		"when it says":                {fetch, []http.HandlerFunc{refuses(429, "Retry-After", "4")}, nil, 2, 4 * time.Second},
		"at the time it says":         {fetch, []http.HandlerFunc{dated}, nil, 2, 4 * time.Second},
		"sooner than we would":        {fetch, []http.HandlerFunc{refuses(503, "Retry-After", "0")}, nil, 2, pause},
		"at a time gone by":           {fetch, []http.HandlerFunc{refuses(503, "Retry-After", "Mon, 02 Mar 1998 10:00:00 GMT")}, nil, 2, pause},
		"at no time":                  {fetch, []http.HandlerFunc{refuses(503, "Retry-After", "-5")}, nil, 2, pause},
		"in an hour":                  {fetch, []http.HandlerFunc{refuses(429, "Retry-After", "3600")}, identity.ErrUnavailable, 1, 0},
		"later than the caller waits": {within(2 * time.Second), []http.HandlerFunc{refuses(429, "Retry-After", "3")}, identity.ErrUnavailable, 1, 0},
		"the caller has no time":      {within(time.Second), []http.HandlerFunc{hangs}, identity.ErrUnavailable, 1, time.Second},
		"the caller has none at all":  {within(0), nil, identity.ErrUnavailable, 0, 0},
		"the caller has some time":    {within(4 * time.Second), []http.HandlerFunc{hangs, hangs}, identity.ErrUnavailable, 2, 4 * time.Second},
	} {
		o := faced(t, test.call, append(test.steps, right(t, "Fetch"))...)
		if !errors.Is(o.err, test.want) || len(o.attempts) != test.asked {
			t.Errorf("%s: got %v after %d attempts, want %v after %d", name, o.err, len(o.attempts), test.want, test.asked)
		}
		// A date has whole seconds only.
		if short := test.took - o.took; o.took > test.took || short > 0 && (name != "at the time it says" || short > time.Second) {
			t.Errorf("%s: took %v, want %v", name, o.took, test.took)
		}
	}
}

func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	leave := func(ctx context.Context, c *identity.Client) error {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		return fetch(ctx, c)
	}
	for name, step := range map[string]http.HandlerFunc{"in an attempt": hangs, "in a pause": refuses(429, "Retry-After", "5")} {
		o := faced(t, leave, step)
		if !errors.Is(o.err, identity.ErrUnavailable) || o.took != time.Second || len(o.attempts) != 1 {
			t.Errorf("%s: got %v after %v and %d attempts", name, o.err, o.took, len(o.attempts))
		}
	}
}

// A key that Persona does not take is fetched again, once.
func TestAPIKeyIsReplaced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys  []string // what is fetched, one after the other; "" fails
		takes string   // Persona
		want  []error  // of calls, one after the other
		asked int
	}{
		"it does":                {[]string{"new"}, "new", []error{nil, nil}, 2},
		"it has been replaced":   {[]string{"old", "new"}, "new", []error{nil, nil}, 3},
		"it has not":             {[]string{"old", "old", "old"}, "new", []error{identity.ErrRefused, identity.ErrRefused}, 2},
		"nor does the next":      {[]string{"old", "newer", "newest"}, "new", []error{identity.ErrRefused, identity.ErrRefused}, 3},
		"it cannot be fetched":   {[]string{"", "new"}, "new", []error{identity.ErrUnavailable, nil}, 1},
		"the next cannot":        {[]string{"old", ""}, "new", []error{identity.ErrUnavailable}, 1},
		"the first of two does":  {[]string{"new old"}, "new", []error{nil}, 1},
		"the second of two does": {[]string{"old new", "old new"}, "new", []error{identity.ErrRefused}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			keys, asked := test.keys, 0
			c := newClient(t, identity.Config{
				APIKey: identity.NewSecrets(func(context.Context) ([]byte, error) {
					if len(keys) == 0 {
						t.Errorf("%s: fetched more than %d times", name, len(test.keys))
						return nil, errors.New("no more")
					}
					key := keys[0]
					keys = keys[1:]
					if key == "" {
						return nil, errors.New("no answer")
					}
					return []byte(key), nil
				}, time.Now),
				Transport: direct(func(w http.ResponseWriter, r *http.Request) {
					asked++
					if r.Header.Get("Authorization") != "Bearer "+test.takes {
						refuses(401)(w, r)
					} else {
						right(t, "Fetch")(w, r)
					}
				}),
			})
			for i, want := range test.want {
				if err := fetch(t.Context(), c); !errors.Is(err, want) {
					t.Errorf("%s: call %d: got %v, want %v", name, i, err, want)
				}
			}
			if asked != test.asked {
				t.Errorf("%s: %d attempts, want %d", name, asked, test.asked)
			}
		})
	}
}

// What cannot be an id or a reference is not sent: it goes into paths and headers.
func TestNothingElseIsSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, identity.Config{Transport: direct(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("sent: %s", r.URL)
	})})
	for _, id := range []string{"", ".", "..", "inq/1", "inq_1/approve", "inq?1", "inq#1", "inq%2F1", "inq 1", "inq\n1", "é", strings.Repeat("a", 129)} {
		if _, err := c.Fetch(t.Context(), id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Fetch %q: got %v", id, err)
		}
		if _, err := c.OneTimeLink(t.Context(), id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("OneTimeLink %q: got %v", id, err)
		}
	}
	for _, ref := range []string{"", " ", "a b", "a\nb", "a\x00", "é", "\x7f", strings.Repeat("a", 256)} {
		if _, err := c.Create(t.Context(), ref, 1); !errors.Is(err, identity.ErrRefused) {
			t.Errorf("Create %q: got %v", ref, err)
		}
	}
	long := strings.Repeat("~", 255)
	c = newClient(t, identity.Config{Transport: direct(right(t, "Create"))})
	if _, err := c.Create(t.Context(), long, 1); err != nil {
		t.Errorf("the longest reference: %v", err)
	}
}
