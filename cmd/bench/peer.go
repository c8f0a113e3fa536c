package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// engine is the TOTP secrets engine of an OpenBao or Vault that runs already. It keeps its keys in its storage, and which
// codes have been used in memory: unlike Nightlatch it writes nothing for a verification, and forgets with a restart.
type engine struct {
	host   string
	header http.Header
	next   int // the first key that no code has been used of in this time step
	keys   int
}

// measurePeer is the same load on the TOTP engine, whose keys are made first.
func measurePeer(out io.Writer, o options) error {
	at, err := url.Parse(o.peer)
	if err != nil || at.Scheme != "http" || at.Host == "" {
		return fmt.Errorf("-totp-engine: %q is not an address like http://127.0.0.1:8200", o.peer)
	}
	e := &engine{host: at.Host, header: http.Header{"X-Vault-Token": {o.token}}, keys: o.accounts[0]}
	mount := post(e.host, "/v1/sys/mounts/bench", e.header, jsonOf(object{"type": "totp"}), 204)
	keys := deal(e.keys, 64, func(i int) call {
		return post(e.host, "/v1/bench/keys/"+user(i)[6:], e.header, jsonOf(object{
			"key": secret(i).Base32(), "issuer": "bench", "account_name": user(i), "period": totp.Default.Period,
		}), 204)
	})
	if _, _, err := together(e.host, [][]call{{mount}}, nil); err != nil {
		return fmt.Errorf("the engine is mounted at bench: %w", err)
	}
	if _, _, err := together(e.host, keys, nil); err != nil {
		return fmt.Errorf("making keys: %w", err)
	}
	fmt.Fprintf(out, "The TOTP engine at %s with %d keys, used codes in memory; on %s\n\n", o.peer, e.keys, machine())
	fmt.Fprint(out, "| clients | right/s | p50 ms | p99 ms |\n|---:|---:|---:|---:|\n")
	for _, clients := range o.clients {
		f, err := run(o.each, e.host, func() ([][]call, error) { return e.verifications(clients) })
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %d | %s |\n", clients, f[0].cells())
	}
	return nil
}

// verifications are codes of keys that no code has been used of lately: three each, as long as a time step lasts.
func (e *engine) verifications(clients int) ([][]call, error) {
	n := min(e.keys, 1000*clients, 8000) // so that they are sent before the first codes run out
	if e.next+n > e.keys {
		progress("waiting for new codes")
		time.Sleep(3 * 30 * time.Second)
		e.next = 0
	}
	step := totp.Default.StepAt(time.Now()) + 1
	time.Sleep(time.Until(totp.Default.StartOf(step)))
	each := make([][]call, clients)
	for i := range n {
		for nth := range codesEach {
			q := post(e.host, "/v1/bench/code/"+user(e.next + i)[6:], e.header, jsonOf(object{"code": rightCode(e.next+i, step-1+totp.Step(nth))}), 200)
			q.has = `"valid":true`
			each[i%clients] = append(each[i%clients], q)
		}
	}
	e.next += n
	return each, nil
}
