package functions_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/dynamostore"
	"github.com/nightlatch/nightlatch/pkg/keyring"
)

// forget removes an item from a table, as if it had never been there.
func (w *world) forget(table, key, value string) {
	w.tb.Helper()
	_, err := dynamodb.NewFromConfig(w.dynamoDB).DeleteItem(w.tb.Context(), &dynamodb.DeleteItemInput{
		TableName: &table, Key: map[string]types.AttributeValue{key: &types.AttributeValueMemberS{Value: value}},
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// undeploy leaves empty tables, as a deployment finds them: without keysets and without the mark on the accounts.
func (w *world) undeploy() {
	w.tb.Helper()
	w.forget(w.tables.Accounts, "user", dynamostore.Sentinel)
	w.forget(w.tables.Config, "name", "deployment")
	w.loseKeysets()
}

func (w *world) loseKeysets() {
	w.tb.Helper()
	w.forget(w.tables.Config, "name", "jwks")
	for _, p := range keyring.Purposes() {
		w.forget(w.tables.Config, "name", "keyset/"+string(p))
	}
}

// age makes every key of every keyset older: the functions know no other time than the real one.
func (w *world) age(by time.Duration) {
	w.tb.Helper()
	for _, p := range keyring.Purposes() {
		name := "keyset/" + string(p)
		value, version, err := w.store.LoadConfig(w.tb.Context(), name)
		if err != nil {
			w.tb.Fatal(err)
		}
		var envelope map[string]any
		if err := json.Unmarshal(value, &envelope); err != nil {
			w.tb.Fatal(err)
		}
		for _, key := range envelope["keys"].(map[string]any) {
			times := key.(map[string]any)
			for name, text := range times {
				at, err := time.Parse(time.RFC3339Nano, text.(string))
				if err != nil {
					w.tb.Fatal(err)
				}
				times[name] = at.Add(-by).Format(time.RFC3339Nano)
			}
		}
		if value, err = json.Marshal(envelope); err == nil {
			err = w.store.ReplaceConfig(w.tb.Context(), name, value, version+1)
		}
		if err != nil {
			w.tb.Fatal(err)
		}
	}
}

// keys runs the function keys, and returns what it says to have done to each keyset; "" stands for all alike.
func (w *world) keys(in api.KeysRequest) map[string]string {
	w.tb.Helper()
	var out api.KeysResponse
	if err := w.functions["keys"].call(in, timeout, &out); err != nil {
		w.tb.Errorf("%s: %v", in.Operation, err)
	}
	all := map[string]bool{}
	for _, p := range keyring.Purposes() {
		all[out.Done[string(p)]] = true
	}
	if len(all) == 1 {
		return map[string]string{"": out.Done[string(keyring.TOTP)]}
	}
	return out.Done
}

func purposes() (all []string) {
	for _, p := range keyring.Purposes() {
		all = append(all, string(p))
	}
	return all
}

// newKeys is a deployment into empty tables, and a rotation: from the first request on there are keys that are no longer used.
func (w *world) newKeys() {
	w.tb.Helper()
	w.undeploy()
	stack := newCloudFormation(w.tb)
	if got := stack.asks(w.functions["keys"], cfn.RequestCreate, timeout); got.Status != cfn.StatusSuccess {
		w.tb.Fatalf("the deployment: %+v", got)
	}
	renew := api.KeysRequest{Operation: "renew", Purposes: purposes(), Operator: "oscar", Reason: "ticket 4711"}
	rotate := api.KeysRequest{Operation: "rotate"}
	for _, step := range []struct {
		in   api.KeysRequest
		want string
		age  time.Duration
	}{{rotate, "", 0}, {renew, "added", 0}, {renew, "", 0}, {rotate, "", 24 * time.Hour}, {rotate, "promoted", 0}, {rotate, "", 0}} {
		if diff := cmp.Diff(map[string]string{"": step.want}, w.keys(step.in)); diff != "" {
			w.tb.Fatalf("%s (-want +got):\n%s", step.in.Operation, diff)
		}
		if step.age > 0 {
			w.age(step.age)
		}
	}
}

// cloudFormation is who runs a custom resource, and waits for its answer at an address that only the function knows.
type cloudFormation struct {
	tb      testing.TB
	url     string
	mu      sync.Mutex
	answers []cfn.Response
	refuse  func(n int, w http.ResponseWriter) bool // the nth time something is put there
	puts    int
}

const signature = "X-Amz-Signature=0a1b2c3d4e5f"

func newCloudFormation(tb testing.TB) *cloudFormation {
	c := &cloudFormation{tb: tb}
	server := httptest.NewServer(c)
	tb.Cleanup(server.Close)
	c.url = server.URL + "/arn%3Aaws%3Acloudformation/answer?" + signature
	return c
}

func (c *cloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	if c.refuse != nil && c.refuse(c.puts, w) {
		return
	}
	var answer cfn.Response
	if r.Method != http.MethodPut || r.Header.Get("Content-Type") != "" || r.URL.RawQuery != signature || len(body) > 4096 ||
		json.Unmarshal(body, &answer) != nil {
		c.tb.Errorf("CloudFormation is sent a %s of %q, type %q: %s", r.Method, r.URL, r.Header.Get("Content-Type"), body)
	}
	c.answers = append(c.answers, answer)
}

// asks runs the custom resource, and returns the one answer.
func (c *cloudFormation) asks(f *function, what cfn.RequestType, timeout time.Duration) cfn.Response {
	c.tb.Helper()
	id := rand.Text()
	event := map[string]any{
		"RequestType": what, "ResponseURL": c.url, "StackId": "arn:aws:cloudformation:eu-central-1:111122223333:stack/nightlatch/x",
		"RequestId": id, "ResourceType": "Custom::NightlatchKeysets", "LogicalResourceId": "Keysets",
		"ServiceToken":       "arn:aws:lambda:eu-central-1:111122223333:function:keys",
		"ResourceProperties": map[string]any{"ServiceToken": "arn:aws:lambda:eu-central-1:111122223333:function:keys", "Version": "1"},
	}
	if what != cfn.RequestCreate {
		event["PhysicalResourceId"] = "nightlatch-keysets"
	}
	err := f.call(event, timeout, new(any))
	c.mu.Lock()
	defer c.mu.Unlock()
	answers := c.answers
	c.answers = nil
	if err != nil || len(answers) != 1 {
		c.tb.Fatalf("%s: %v, answers %+v; want one", what, err, answers)
	}
	got := answers[0]
	if got.RequestID != id || got.LogicalResourceID != "Keysets" || got.StackID != event["StackId"] || got.PhysicalResourceID != "nightlatch-keysets" ||
		(got.Reason == "") != (got.Status == cfn.StatusSuccess) {
		c.tb.Errorf("%s is answered %+v", what, got)
	}
	if said := f.said.String(); strings.Contains(said, signature) {
		c.tb.Errorf("the log has the address of the answer:\n%s", said)
	}
	return got
}

// TestDeployment: the first deployment makes keysets, later ones leave them as they are, and what is deleted deletes nothing.
func TestDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.undeploy()
	w.functions["keys"] = w.start(t, "keys", nil)
	stack := newCloudFormation(t)
	items := func() map[string]string {
		all := map[string]string{}
		for _, name := range append([]string{"jwks"}, purposes()...) {
			if name != "jwks" {
				name = "keyset/" + name
			}
			value, version, err := w.store.LoadConfig(t.Context(), name)
			if err != nil || version == 0 {
				t.Fatalf("%s: version %d, %v", name, version, err)
			}
			all[name] = string(value)
		}
		return all
	}
	if w.marked() {
		t.Fatal("the accounts are marked before")
	}
	if got := stack.asks(w.functions["keys"], cfn.RequestCreate, timeout); got.Status != cfn.StatusSuccess {
		t.Fatalf("%+v", got)
	}
	if !w.marked() {
		t.Error("the accounts have no mark")
	}
	first := items()
	for _, what := range []cfn.RequestType{cfn.RequestUpdate, cfn.RequestDelete, cfn.RequestCreate} {
		if got := stack.asks(w.functions["keys"], what, timeout); got.Status != cfn.StatusSuccess {
			t.Errorf("%s: %+v", what, got)
		}
		if diff := cmp.Diff(first, items()); diff != "" {
			t.Errorf("%s has changed (-before +after):\n%s", what, diff)
		}
	}
	if got := stack.asks(w.functions["keys"], "Replace", timeout); got.Status != cfn.StatusFailed {
		t.Errorf("a request that there is not: %+v", got)
	}
	if counted := w.functions["keys"].counted.String(); strings.Count(counted, `"Outcome":"success"`) != 4 || strings.Count(counted, `"Outcome":"failure"`) != 1 {
		t.Errorf("four requests were granted and one was not; it counts\n%s", counted)
	}
	if err := w.functions["keys"].call(map[string]string{"operation": "create"}, timeout, new(any)); err != nil {
		t.Errorf("by hand: %v", err)
	}
	for _, order := range []string{
		`{"operation":"remove"}`, `{"operation":"rotate","purpose":"totp"}`, `{"operation":"renew","operator":"oscar","reason":"x"}`,
		`{"operation":"renew","purposes":["totp"],"reason":"x"}`, `{"operation":"renew","purposes":["totp"],"operator":"oscar"}`,
		`{"operation":"renew","purposes":["rsa"],"operator":"oscar","reason":"x"}`, `{}`, `[]`,
	} {
		if o := w.functions["keys"].invoke([]byte(order), timeout); o.err == nil {
			t.Errorf("%s: %s", order, o.answer)
		}
	}
	if diff := cmp.Diff(first, items()); diff != "" {
		t.Errorf("orders that are none have changed (-before +after):\n%s", diff)
	}

	// One keyset that is lost: another would open nothing that it has sealed.
	w.forget(w.tables.Config, "name", "keyset/totp")
	for _, what := range []cfn.RequestType{cfn.RequestCreate, cfn.RequestUpdate} {
		if got := stack.asks(w.functions["keys"], what, timeout); got.Status != cfn.StatusFailed || !strings.Contains(got.Reason, "keyset totp") {
			t.Errorf("%s, of a keyset that was lost: %+v", what, got)
		}
	}
	if _, version, err := w.store.LoadConfig(t.Context(), "keyset/totp"); err != nil || version != 0 {
		t.Errorf("it has made another: version %d, %v", version, err)
	}
	// All of them.
	w.loseKeysets()
	for _, what := range []cfn.RequestType{cfn.RequestCreate, cfn.RequestUpdate} {
		if got := stack.asks(w.functions["keys"], what, timeout); got.Status != cfn.StatusFailed || !strings.Contains(got.Reason, "keyset challenge, codes") {
			t.Errorf("%s, of keysets that were lost: %+v", what, got)
		}
	}

	// Another config table, or an empty one: new keysets would hide that the accounts' are elsewhere.
	w.forget(w.tables.Config, "name", "deployment")
	for _, what := range []cfn.RequestType{cfn.RequestCreate, cfn.RequestUpdate} {
		if got := stack.asks(w.functions["keys"], what, timeout); got.Status != cfn.StatusFailed || !strings.Contains(got.Reason, "holds no deployment") {
			t.Errorf("%s, of keysets that were lost: %+v", what, got)
		}
	}
	if held, err := keyring.Exists(t.Context(), w.store); err != nil || held {
		t.Errorf("it has made new ones: %v", err)
	}
}

// marked says whether the accounts table has its sentinel.
func (w *world) marked() bool {
	w.tb.Helper()
	out, err := dynamodb.NewFromConfig(w.dynamoDB).GetItem(w.tb.Context(), &dynamodb.GetItemInput{
		TableName: &w.tables.Accounts, Key: map[string]types.AttributeValue{"user": &types.AttributeValueMemberS{Value: dynamostore.Sentinel}},
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return out.Item != nil
}

// TestDeployedToAnotherTable: a deployment does not make a world without 2FA of an accounts table that it is pointed at by
// mistake. A restored copy, which has the sentinel, is taken.
func TestDeployedToAnotherTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.startAll()
	c := newClient(t, w.functions, timeout)
	c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", `{}`, 200, ""))
	body := `{"user_id":"alice","nonce":"n"}`

	others, _ := newTables(t, w.dynamoDB) // of another deployment
	empty, _ := newTables(t, w.dynamoDB)
	removeSentinel(t, w, empty)
	stack := newCloudFormation(t)
	at := func(table string) (*client, *function) {
		t.Helper()
		settings := map[string]string{"NIGHTLATCH_ACCOUNTS_TABLE": table}
		return newClient(t, map[string]*function{"challenge": w.start(t, "challenge", settings)}, timeout), w.start(t, "keys", settings)
	}
	for what, table := range map[string]string{"an empty table": empty.Accounts, "another deployment's": others.Accounts} {
		c, keys := at(table)
		c.want(host(""), "POST /v1/challenges", body, 503, "unavailable")
		for _, request := range []cfn.RequestType{cfn.RequestUpdate, cfn.RequestCreate} {
			if got := stack.asks(keys, request, timeout); got.Status != cfn.StatusFailed || !strings.Contains(got.Reason, "restored copy") {
				t.Errorf("%s: %s: %+v", what, request, got)
			}
		}
		if err := keys.call(api.KeysRequest{Operation: "create"}, timeout, new(any)); err == nil {
			t.Errorf("%s: by hand: it is taken", what)
		}
		c.want(host(""), "POST /v1/challenges", body, 503, "unavailable")
	}

	client, ctx := dynamodb.NewFromConfig(w.dynamoDB), t.Context()
	kept, err := client.Scan(ctx, &dynamodb.ScanInput{TableName: &w.tables.Accounts})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range kept.Items {
		if _, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &empty.Accounts, Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	c, keys := at(empty.Accounts)
	if got := stack.asks(keys, cfn.RequestUpdate, timeout); got.Status != cfn.StatusSuccess {
		t.Errorf("a restored copy: %+v", got)
	}
	if a := c.want(host(""), "POST /v1/challenges", body, 200, ""); !strings.Contains(a.text, `"required":true`) {
		t.Errorf("in a restored copy: %s", a.text)
	}
}

// TestDeploymentBreaksOff: whatever fails, CloudFormation is told so before the function's time is over, the next try goes on,
// and two at once make one keyset of each kind.
func TestDeploymentBreaksOff(t *testing.T) {
	t.Parallel()
	const short = 11 * time.Second // of which three are for the work
	for what, fault := range map[string]struct {
		kms, dynamoDB http.HandlerFunc
	}{
		"KMS refuses": {kms: refuse("AccessDeniedException")}, "KMS hangs": {kms: hang}, "KMS hangs up": {kms: hangUp},
		"DynamoDB refuses": {dynamoDB: refuse("com.amazon.coral.service#AccessDeniedException")},
		"DynamoDB hangs":   {dynamoDB: hang},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "standard")
			w.undeploy()
			f, stack := w.start(t, "keys", nil), newCloudFormation(t)
			f.kms.answer(fault.kms)
			f.dynamoDB.answer(fault.dynamoDB)
			if got := stack.asks(f, cfn.RequestCreate, short); got.Status != cfn.StatusFailed {
				t.Errorf("%+v", got)
			}
			f.kms.answer(nil)
			f.dynamoDB.answer(nil)
			if got := stack.asks(f, cfn.RequestDelete, short); got.Status != cfn.StatusSuccess { // CloudFormation rolls back
				t.Errorf("%+v", got)
			}
			if got := stack.asks(f, cfn.RequestCreate, timeout); got.Status != cfn.StatusSuccess {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("after each write", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "standard")
		for n := 0; ; n++ {
			w.undeploy()
			f, stack := w.start(t, "keys", nil), newCloudFormation(t)
			passed := 0
			f.dynamoDB.only(func(r *http.Request) bool {
				if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
					passed++
				}
				return passed <= n
			})
			got := stack.asks(f, cfn.RequestCreate, short)
			f.dynamoDB.only(nil)
			// However far it came, the accounts can be used only when all is there, and what is there stays.
			_, err := dynamostore.New(w.dynamoDB, w.tables).Load(t.Context(), "alice")
			if used := err == nil; used != (got.Status == cfn.StatusSuccess) || used && !w.marked() {
				t.Fatalf("after %d writes: %v, and told %+v", n, err, got)
			}
			if again := stack.asks(f, cfn.RequestUpdate, timeout); again.Status != cfn.StatusSuccess {
				t.Fatalf("after %d writes, again: %+v", n, again)
			}
			if got.Status == cfn.StatusSuccess {
				if n < 12 { // the deployment, seven keysets, what is published and its note, the mark, and that it is there
					t.Errorf("all was there after %d writes", n)
				}
				return
			}
		}
	})
	t.Run("the answer", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "standard")
		f, stack := w.start(t, "keys", nil), newCloudFormation(t)
		stack.refuse = func(n int, response http.ResponseWriter) bool {
			if n < 3 {
				response.WriteHeader(http.StatusServiceUnavailable)
			}
			return n < 3
		}
		if got := stack.asks(f, cfn.RequestUpdate, timeout); got.Status != cfn.StatusSuccess {
			t.Errorf("%+v", got)
		}
		stack.refuse = func(int, http.ResponseWriter) bool { panic(http.ErrAbortHandler) }
		err := f.call(map[string]any{"RequestType": "Delete", "ResponseURL": stack.url}, 2*time.Second, new(any))
		if err == nil || strings.Contains(err.Error(), signature) || strings.Contains(f.said.String(), signature) {
			t.Errorf("an answer that never arrived: %v", err)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "standard")
		w.undeploy()
		var both sync.WaitGroup
		for range 2 {
			f, stack := w.start(t, "keys", nil), newCloudFormation(t)
			both.Go(func() {
				if got := stack.asks(f, cfn.RequestCreate, timeout); got.Status != cfn.StatusSuccess {
					t.Errorf("%+v", got)
				}
			})
		}
		both.Wait()
		w.startAll()
		c := newClient(t, w.functions, timeout)
		c.setUp("alice", c.want(session("alice"), "POST /v1/enroll", `{}`, 200, ""))
	})
}

// TestRotationUnderway: a user goes on through two years of rotations, with a phone and a backup code from the beginning.
// Some processes are new each time, and others hold the keysets as they were before the last promotion.
func TestRotationUnderway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "standard")
	w.startAll()
	c := newClient(t, w.functions, timeout)
	begun := c.want(session("alice"), "POST /v1/enroll", `{}`, 200, "")
	phone, _ := c.setUp("alice", begun)
	before := map[string]string{"phone": c.challenge("alice").str("challenge"), "code": c.challenge("alice").str("challenge")}
	published := c.want(anyone, "GET /.well-known/jwks.json", "", 200, "").text

	rotate := api.KeysRequest{Operation: "rotate"}
	steps := map[string]int{}
	for range 4 {
		w.age(183 * 24 * time.Hour)
		for _, step := range w.keys(rotate) {
			steps[step]++
		}
		// By now a process has looked: one that runs has all keys, and does not know yet which of them is to be used.
		for _, name := range []string{"verify", "challenge", "check"} {
			w.functions[name] = w.start(t, name, nil)
		}
		c.challenge("alice")
		c.want(anyone, "POST /v1/verify", object("challenge", before["phone"], "method", "totp", "code", "1"), 400, "invalid_request")
		w.age(24 * time.Hour)
		for _, step := range w.keys(rotate) {
			steps[step]++
		}
		w.functions["jwks"] = w.start(t, "jwks", nil)
		w.functions["challenge"] = w.start(t, "challenge", nil)
		fresh := c.challenge("alice").str("challenge")                                                                       // sealed with the new key, for a process that is behind
		c.want(anyone, "POST /v1/verify", object("challenge", fresh, "method", "totp", "code", "1"), 400, "invalid_request") // no code, but a challenge
		c.want(session("alice"), "POST /v1/check", object("code", phone.of(time.Now().Unix()/period)), 200, "")
	}
	if steps["added"] == 0 || steps["promoted"] == 0 {
		t.Errorf("steps %v", steps)
	}
	// What was made with the first keys is good with what there is now: the secret, the challenges, the backup code.
	for _, name := range slices.Sorted(maps.Keys(w.functions)) {
		w.functions[name] = w.start(t, name, nil)
	}
	in := c.want(anyone, "POST /v1/verify", object("challenge", before["phone"], "method", "totp", "code", phone.code()), 200, "")
	c.assertion(in.str("assertion"), "alice")
	in = c.want(anyone, "POST /v1/verify", object("challenge", before["code"], "method", "backup_code", "code", begun.str("backup_code")), 200, "")
	c.assertion(in.str("assertion"), "alice")
	now := c.want(anyone, "GET /.well-known/jwks.json", "", 200, "").text
	if got := strings.Count(now, `"kid"`); got < 3 || strings.Count(published, `"kid"`) != 1 {
		t.Errorf("%d keys are published after two years, and at first: %s", got, published)
	}
}
