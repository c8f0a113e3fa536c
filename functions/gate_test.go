package functions_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// gate stands between one function and a service of AWS. It notes what the function asks for, in the words of its
// permissions; and it can answer in the service's place.
type gate struct {
	url, service string
	names        map[string]string // what a table, a queue or a secret is for, by its name

	mu      sync.Mutex
	asked   map[string]int // how often
	mails   []string       // the MIME of those that SES has taken
	told    []string       // the details of the events that EventBridge has taken
	instead http.HandlerFunc
	writes  http.HandlerFunc
	passes  func(*http.Request) bool
}

func newGate(tb testing.TB, service string, names map[string]string) *gate {
	g := &gate{service: service, asked: map[string]int{}, names: names}
	server := httptest.NewServer(g)
	tb.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// answer lets f answer from now on; nil is the service itself.
func (g *gate) answer(f http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.instead = f
}

// answerWrites lets f answer whatever is to be put into a table, from now on; nil is the service itself. With carriedOut, f can
// have that done all the same.
func (g *gate) answerWrites(f http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = f
}

// carriedOut has the service do what nobody will hear of.
func (g *gate) carriedOut(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		g.forward(httptest.NewRecorder(), r, body)
	}
	panic(http.ErrAbortHandler)
}

// only lets those requests through from now on, and ends the connection of all others; nil: it lets all through.
func (g *gate) only(these func(*http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passes = these
}

// permissions lists what the function has asked for.
func (g *gate) permissions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := maps.Clone(g.asked)
	for _, of := range []string{"accounts GetItem", "accounts PutItem"} {
		if asked[of] > 0 { // any item
			delete(asked, of+" "+dynamostore.Sentinel)
		}
	}
	return slices.Sorted(maps.Keys(asked))
}

// taken are the mails that went through it and arrived.
func (g *gate) taken() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.mails)
}

// events are the details of the events that went through it and arrived.
func (g *gate) events() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.told)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the function is gone
	}
	g.mu.Lock()
	g.asked[g.permission(r, body)]++
	instead := g.instead
	if g.writes != nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
		instead = g.writes
	}
	if g.passes != nil && !g.passes(r) {
		instead = hangUp
	}
	g.mu.Unlock()
	if instead != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		instead(w, r)
		return
	}
	g.forward(w, r, body)
}

func (g *gate) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	onward, err := http.NewRequestWithContext(r.Context(), r.Method, g.service+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	onward.Header = r.Header
	response, err := http.DefaultTransport.RoundTrip(onward)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") == "SendRawEmail" && response.StatusCode == http.StatusOK {
		mail, err := base64.StdEncoding.DecodeString(form.Get("RawMessage.Data"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		g.mu.Lock()
		g.mails = append(g.mails, string(mail))
		g.mu.Unlock()
	}
	var events struct{ Entries []struct{ Detail string } }
	if r.Header.Get("X-Amz-Target") == "AWSEvents.PutEvents" && response.StatusCode == http.StatusOK && json.Unmarshal(body, &events) == nil {
		g.mu.Lock()
		for _, e := range events.Entries {
			g.told = append(g.told, e.Detail)
		}
		g.mu.Unlock()
	}
	maps.Copy(w.Header(), response.Header)
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

// permission names a request as the permissions do: "accounts PutItem", "config GetItem keyset/totp", "kms Decrypt totp",
// "mails SendMessage", "bus PutEvents", "persona GetSecretValue", "ses SendRawEmail", "failures PutObject",
// "notify InvokeFunction".
func (g *gate) permission(r *http.Request, body []byte) string {
	path := strings.Split(r.URL.Path, "/") // of S3 a bucket and a key, of Lambda a version, "functions", a function and "invocations"
	switch {
	case len(path) > 3 && path[2] == "functions" && g.names[path[3]] != "":
		return g.names[path[3]] + " InvokeFunction"
	case g.names[path[1]] != "" && len(path) == 2 && r.Method == http.MethodGet:
		return g.names[path[1]] + " ListBucket"
	case g.names[path[1]] != "":
		return g.names[path[1]] + " " + map[string]string{http.MethodGet: "GetObject", http.MethodPut: "PutObject", http.MethodDelete: "DeleteObject"}[r.Method]
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var request struct {
		TableName, IndexName string
		Key, Item            map[string]struct{ S string }
		EncryptionContext    map[string]string
		QueueUrl, SecretId   string
		Entries              []struct{ EventBusName string }
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		return "ses " + form.Get("Action")
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return "what is not JSON: " + operation
	}
	called := request.TableName + request.QueueUrl + request.SecretId
	if len(request.Entries) > 0 {
		called += request.Entries[0].EventBusName
	}
	if name, ok := g.names[called]; ok {
		if request.IndexName != "" {
			name += " " + request.IndexName
		}
		switch key := request.Key["name"].S + request.Item["name"].S; {
		case name == "config": // whose items are a function's one by one
			return strings.Join([]string{name, operation, key}, " ")
		case request.Key["user"].S+request.Item["user"].S == dynamostore.Sentinel:
			return strings.Join([]string{name, operation, dynamostore.Sentinel}, " ")
		}
		return name + " " + strings.TrimSuffix(operation, "Batch") // one permission is for one message and for ten
	}
	purpose, err := hex.DecodeString(request.EncryptionContext["associatedData"])
	if err != nil || !slices.Contains(keyring.Purposes(), keyring.Purpose(purpose)) {
		return "something else: " + operation + " " + string(body)
	}
	return "kms " + operation + " " + string(purpose)
}
