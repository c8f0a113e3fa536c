// Package host is what a Go login back end imports to put Nightlatch behind its password step.
//
// A sign-in has two halves. When the password was right, the back end makes a nonce, keeps it with the pending sign-in,
// and asks Client.Challenge whether a second factor is due. If it is, the browser takes the challenge to the service and
// comes back with an assertion, which Client.VerifyAssertion checks: offline, for this user and this nonce, and once.
// What happens without a second factor, Client.Report tells the service: the history has it, too. A wrong password is for
// Client.ReportPasswordFailed, so that no answer tells which addresses there are.
//
// A session may be granted in two places only: where Challenge answered Required false, and where VerifyAssertion
// returned no error. Any error of either means that nobody is signed in.
//
// # The session of the user's own calls
//
// The security card calls the service as the signed-in user, with a session that is a JWT of the application's identity
// provider, and is neither an assertion nor made here. Its iss, its aud or client_id, and its lifetime are checked by API
// Gateway, which takes RS256 only; which they are is session.issuer and session.audiences of the deployment
// (infra/README.md). Its sub must equal the UserID of Challenge. Its auth_time, in Unix seconds, is when the user signed
// in: that of Claims.AuthTime after a second factor, since a session that tells none, or an old one, may not set up an
// authenticator. A reviewer's also has amr, that of Claims.AMR, and the group. On a laptop POST /demo/login answers with
// such a session, and POST /demo/session after a second factor.
package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var (
	// ErrAssertion: the assertion is not one that the service made for this host, this user and this sign-in, or it is
	// too old. The user starts again with the password.
	ErrAssertion = errors.New("host: assertion refused")
	// ErrRedeemed: the assertion was good, and has been used before.
	ErrRedeemed = errors.New("host: assertion already used")
	// ErrUnavailable: it could not be told. The service, its keys or the Redeemer did not answer, or not sensibly.
	ErrUnavailable = errors.New("host: unavailable")
)

// Config says which service a host asks, and what an assertion must say.
type Config struct {
	// URL is where the service is, as in "https://2fa.example.com". Required. It may have a path, and is https unless
	// it is on the loopback interface.
	URL string
	// Issuer is the "iss" of assertions. Default: URL, without a slash at its end.
	Issuer string
	// Audience is the "aud" of assertions: the name under which the service knows this host. Required.
	Audience string
	// Credentials prove to the service that it is this host which calls: SigV4 on AWS, a ServiceKey for the local
	// server. Required.
	Credentials Credentials
	// Redeemer remembers which assertions were used. Required: a host of more than one process needs one that all of
	// them share, in its database, say; NewMemoryRedeemer is for one process.
	Redeemer Redeemer
	// HTTP sends the requests. Default: http.DefaultClient. Its CheckRedirect is not used: no redirect is followed. A
	// call with its retries takes 10 seconds at most, also without a Timeout.
	HTTP *http.Client
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client asks the service and verifies its assertions. It is safe for concurrent use; make one and keep it.
type Client struct {
	config Config
	keys   *keySet
	later  later
}

// New returns a client. It sends nothing yet; the error names the field that is wrong.
func New(c Config) (*Client, error) {
	base, err := baseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("host: URL: %w", err)
	}
	c.URL = base
	if c.Issuer == "" {
		c.Issuer = base
	}
	if c.Audience == "" {
		return nil, errors.New("host: Audience is required")
	}
	if c.Credentials == nil {
		return nil, errors.New("host: Credentials are required")
	}
	if err := c.Credentials.validate(); err != nil {
		return nil, fmt.Errorf("host: Credentials: %w", err)
	}
	if c.Redeemer == nil {
		return nil, errors.New("host: Redeemer is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP // a copy: the caller's own keeps following redirects
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTP = &client
	return &Client{config: c, keys: &keySet{client: &client, url: base + "/.well-known/jwks.json", now: c.Now}}, nil
}

// baseURL checks where the service is. Over plain HTTP credentials and challenges could be read, and keys be replaced.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("does not parse") // the parser's own error would tell a password in it
	}
	switch {
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New(`must be like "https://2fa.example.com"`)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "", errors.New("must be https, unless it is on the loopback interface")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("must not have a user, a query or a fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// NewNonce returns a new nonce for a pending sign-in: at least 128 random bits in 26 letters and digits. Keep it where the
// browser cannot change it, and use it for one sign-in.
func NewNonce() string { return rand.Text() }
