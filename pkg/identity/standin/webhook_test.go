package standin_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nightlatch/nightlatch/pkg/identity"
	"github.com/nightlatch/nightlatch/pkg/identity/standin"
)

// A receiver takes webhooks as a test tells it to: each by the next answer, and further ones by the last.
type receiver struct {
	answers []int // a status; 0 is no answer
	came    []webhook
	at      []time.Duration // since the beginning
	left    []string        // attempts, as told
	begun   time.Time
	slow    time.Duration // to notice that it is over
	ended   int
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.came = append(r.came, webhook{request.Header.Get(identity.SignatureHeader), body})
	r.at = append(r.at, time.Since(r.begun))
	r.left = append(r.left, request.Header.Get("Persona-Webhook-Attempts-Made")+"+"+request.Header.Get("Persona-Webhook-Attempts-Left"))
	status := r.answers[min(len(r.came), len(r.answers))-1]
	if status == 0 {
		<-request.Context().Done()
		time.Sleep(r.slow)
		r.ended++
		return nil, request.Context().Err()
	}
	w := httptest.NewRecorder()
	w.Header().Set("Location", "http://localhost/elsewhere")
	w.WriteHeader(status)
	return w.Result(), nil
}

// A webhook is sent until it is taken, signed anew each time; then it is told that nobody took it.
func TestDelivery(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, test := range map[string]struct {
		answers []int
		at      []time.Duration
		logged  bool
	}{
		"taken":            {[]int{200}, []time.Duration{0}, false},
		"created":          {[]int{201}, []time.Duration{0}, false},
		"accepted":         {[]int{202}, []time.Duration{0}, false},
		"nothing to say":   {[]int{204}, []time.Duration{0}, false},
		"at the second":    {[]int{503, 200}, []time.Duration{0, second}, false},
		"at the fourth":    {[]int{500, 401, 302, 200}, []time.Duration{0, second, 6 * second, 36 * second}, false},
		"never":            {[]int{404}, []time.Duration{0, second, 6 * second, 36 * second}, true},
		"sent elsewhere":   {[]int{307}, []time.Duration{0, second, 6 * second, 36 * second}, true},
		"partly":           {[]int{206, 200}, []time.Duration{0, second}, false},
		"not answered":     {[]int{0, 200}, []time.Duration{0, 6 * second}, false},
		"never answered":   {[]int{0}, []time.Duration{0, 6 * second, 16 * second, 51 * second}, true},
		"at the very last": {[]int{0, 0, 0, 200}, []time.Duration{0, 6 * second, 16 * second, 51 * second}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{answers: test.answers, begun: time.Now()}
			var log bytes.Buffer
			s := started(t, r, &log)
			s.Wait()
			if diff := cmp.Diff(test.at, r.at); diff != "" {
				t.Errorf("%s: sent at (-want +got):\n%s", name, diff)
			}
			if got, want := strings.Join(r.left, " "), "1+3 2+2 3+1 4+0"; !strings.HasPrefix(want, got) {
				t.Errorf("%s: attempts: got %s", name, got)
			}
			headers := map[string]bool{}
			for i, came := range r.came {
				sent := r.begun.Add(r.at[i])
				if err := identity.VerifyWebhook(came.header, came.body, []string{secret}, sent); err != nil {
					t.Errorf("%s: attempt %d: %v", name, i, err)
				}
				if want := identity.Sign(secret, came.body, sent); came.header != want {
					t.Errorf("%s: attempt %d: signed %s, want %s", name, i, came.header, want)
				}
				if !bytes.Equal(came.body, r.came[0].body) {
					t.Errorf("%s: attempt %d: another body: %s", name, i, came.body)
				}
				headers[came.header] = true
			}
			if len(headers) != len(r.came) {
				t.Errorf("%s: %d signatures for %d attempts", name, len(headers), len(r.came))
			}
			if got := strings.Contains(log.String(), "inquiry.approved"); got != test.logged || strings.Contains(log.String(), "Liddell") {
				t.Errorf("%s: logged %q", name, log.String())
			}
		})
	}
}

// Close ends what is under way, whether it waits or sends, and leaves nothing behind.
func TestClose(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"waiting": 500, "sending": 0} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{answers: []int{status}, begun: time.Now()}
			var log bytes.Buffer
			s := started(t, r, &log)
			time.Sleep(time.Millisecond)
			s.Close()
			if took := time.Since(r.begun); took != time.Millisecond || len(r.came) != 1 {
				t.Errorf("%s: took %v, %d attempts", name, took, len(r.came))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answers: []int{0}, begun: time.Now(), slow: time.Second}
		s := started(t, r, io.Discard)
		synctest.Wait()
		if s.Close(); r.ended != 1 {
			t.Error("something is still being sent")
		}
	})
}

// Where nobody can be, nobody takes a webhook, and that is told as well; where nobody is meant to be, none is sent.
func TestNowhereToDeliver(t *testing.T) {
	t.Parallel()
	for url, logged := range map[string]bool{"http://%": true, "": false} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s := started(t, nil, &log, func(c *standin.Config) { c.WebhookURL = url })
			s.Wait()
			if got := strings.Contains(log.String(), "inquiry.approved"); got != logged {
				t.Errorf("%q: logged %q", url, log.String())
			}
		})
	}
}

// started returns a stand-in with an inquiry that was just passed.
func started(t *testing.T, to http.RoundTripper, log io.Writer, changes ...func(*standin.Config)) *standin.Service {
	t.Helper()
	c := standin.Config{
		URL: "http://localhost/", APIKey: apiKey, WebhookURL: "http://localhost/v1/webhooks/persona", WebhookSecret: secret,
		Person: func(string) standin.Person { return alice }, Transport: to, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, change := range changes {
		change(&c)
	}
	s, err := standin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	client, err := identity.New(identity.Config{URL: "http://localhost", Template: template, APIKey: fixed(apiKey), Transport: handled{s}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.Create(t.Context(), reference, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+id, strings.NewReader(`{"result":"pass"}`))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 200 {
		t.Fatalf("pass: %d", w.Code)
	}
	return s
}

// handled is a transport to a handler, without a network between.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}
