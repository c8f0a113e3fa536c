package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/thaw"
)

// persona is where Persona is: its API, and, below the same name, its pages.
const (
	persona       = "withpersona.com"
	defaultURL    = "https://api." + persona
	maxLink       = 2 << 10 // bytes
	maxReference  = 255     // bytes
	maxIdentifier = 128     // bytes; Persona's have 32, and may change (docs.withpersona.com/versioning)
)

// Config says which identity service is asked, and how.
type Config struct {
	// URL is where the API is, without "/api/v1". Default: https://api.withpersona.com. It may have a path, and is https
	// unless it is on the loopback interface.
	URL string
	// Template is the inquiry template (itmpl_…) by which people are checked. Required. It must ask for an identity document,
	// and a workflow of Persona's must approve who has passed: completed is not approved.
	Template string
	// ReturnTo is where Persona sends people's browsers in the end. Optional: without it Persona's last page is the last.
	// Persona adds the inquiry, the reference and what people typed about themselves to the query
	// (docs.withpersona.com/hosted-flow-redirecting-on-complete), so its logs are not to keep queries.
	ReturnTo string
	// APIKey is the key that Persona knows us by, the first of the values. Required. When it is refused it is fetched again.
	APIKey *Secrets
	// Transport sends the requests. Default: that of package thaw, with TLS as the SDK has it by default.
	Transport http.RoundTripper
}

// Client asks Persona. It is safe for concurrent use; make one and keep it.
//
// A call takes ten seconds at most, three for each of at most three attempts, and ends with its context. Attempts that may
// come to something are repeated: those that got no answer, none that makes sense, 408, 429 or 5xx; after a pause, or
// when Persona says that it may be asked again (Retry-After), if there is time for that.
type Client struct {
	config Config
	base   *url.URL // of the API
	http   *http.Client
}

// New returns a client. It sends nothing yet; the error names the field that is wrong.
func New(c Config) (*Client, error) {
	if c.URL == "" {
		c.URL = defaultURL
	}
	base, err := baseURL(c.URL)
	if err == nil && (base.RawQuery != "" || base.Fragment != "") {
		err = errors.New("must have neither query nor fragment")
	}
	if err != nil {
		return nil, fmt.Errorf("identity: URL: %w", err)
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if !isIdentifier(c.Template) {
		return nil, errors.New("identity: Template is required, such as itmpl_…")
	}
	if c.ReturnTo != "" {
		if _, err := baseURL(c.ReturnTo); err != nil {
			return nil, fmt.Errorf("identity: ReturnTo: %w", err)
		}
	}
	if c.APIKey == nil {
		return nil, errors.New("identity: APIKey is required")
	}
	if c.Transport == nil {
		c.Transport = thaw.Transport()
	}
	client := &Client{config: c, base: base}
	client.http = &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, nil
}

// baseURL checks where something is. Over plain HTTP the API key could be read, and an approval be made up.
func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("does not parse") // the parser's own error would tell a password in it
	case u.User != nil:
		return nil, errors.New("must have no user")
	case u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(`must be like "` + defaultURL + `"`)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("must be https, unless it is on the loopback interface")
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isPersonas says whether a URL is one of Persona's: at its own name, or below it, where customers may have a name of their
// own (docs.withpersona.com/hosted-flow-subdomains).
func isPersonas(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	return u.Scheme == "https" && u.Port() == "" && (host == persona || strings.HasSuffix(host, "."+persona))
}

// leadsThere says whether a URL leads to the identity service: to Persona, if it is Persona that we ask, and else to where
// the API is.
func (c *Client) leadsThere(u *url.URL) bool {
	if isPersonas(c.base) {
		return isPersonas(u)
	}
	return u.Scheme == c.base.Scheme && u.Host == c.base.Host
}

// ConsoleURL is where people who may look at inquiries find one: at Persona's console, for which they need an account there,
// or on the stand-in's page. It is empty for what is no id.
func (c *Client) ConsoleURL(inquiryID string) string {
	switch {
	case !isIdentifier(inquiryID):
		return ""
	case isPersonas(c.base):
		return "https://app." + persona + "/dashboard/inquiries/" + inquiryID
	}
	return c.config.URL + "/" + inquiryID
}

// Create makes an inquiry with the reference and returns its id. A reference is 1 to 255 bytes of visible ASCII, and
// attempt counts the inquiries that were wanted for it. Whoever asks twice for the same attempt, because an answer got lost
// or because two ask at once, gets the same inquiry, for a day at least: Persona keeps what it answered under an
// Idempotency-Key.
//
// It keeps that even where it was 500, or that our request was wrong, and answers so for that day
// (docs.withpersona.com/idempotence). So after any such answer the next attempt has a key of its own, a random one: a
// counter would have to be kept, or would come to a key that was used before. An inquiry too many may come of it, which
// nobody is led to and which counts for nothing.
//
// Errors: ErrUnavailable, ErrRefused.
func (c *Client) Create(ctx context.Context, reference string, attempt int) (inquiryID string, err error) {
	if !isReference(reference) {
		return "", fmt.Errorf("%w: the reference must be 1 to %d bytes of visible ASCII", ErrRefused, maxReference)
	}
	type attributes struct {
		Template  string `json:"inquiry-template-id"`
		Reference string `json:"reference-id"`
		ReturnTo  string `json:"redirect-uri,omitempty"`
	}
	type data struct {
		Attributes attributes `json:"attributes"`
	}
	body, err := json.Marshal(struct {
		Data data `json:"data"`
	}{data{attributes{c.config.Template, reference, c.config.ReturnTo}}})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	err = c.send(ctx, request{
		what: "create an inquiry", method: http.MethodPost, path: "/api/v1/inquiries", body: body,
		key: reference + "-" + strconv.Itoa(attempt),
		read: func(answer []byte) (err error) {
			inquiryID, _, err = readNamed(answer)
			return err
		},
	})
	if err != nil {
		return "", err
	}
	return inquiryID, nil
}

// Fetch returns an inquiry as it now is. Errors: ErrUnavailable, ErrNotFound, ErrRefused.
func (c *Client) Fetch(ctx context.Context, inquiryID string) (inquiry Inquiry, err error) {
	if !isIdentifier(inquiryID) {
		return Inquiry{}, fmt.Errorf("%w: %q is no id", ErrNotFound, show(inquiryID))
	}
	err = c.send(ctx, request{
		what: "retrieve an inquiry", method: http.MethodGet, path: "/api/v1/inquiries/" + inquiryID,
		query: url.Values{
			"include": {"verifications"}, "fields[inquiry]": {ofInquiry}, "fields[" + governmentID + "]": {ofDocument},
		},
		refusals: map[int]error{http.StatusNotFound: ErrNotFound},
		read: func(answer []byte) (err error) {
			if inquiry, err = readInquiry(answer); err == nil && inquiry.ID != inquiryID {
				err = fmt.Errorf("the answer is about the inquiry %q", show(inquiry.ID))
			}
			return err
		},
	})
	if err != nil {
		return Inquiry{}, err
	}
	return inquiry, nil
}

// OneTimeLink returns a new link by which the person can go on with the inquiry, once, within a day. It leads to the
// identity service, and nowhere else. Errors: ErrUnavailable, ErrNotFound, ErrClosed, ErrRefused.
func (c *Client) OneTimeLink(ctx context.Context, inquiryID string) (link string, err error) {
	if !isIdentifier(inquiryID) {
		return "", fmt.Errorf("%w: %q is no id", ErrNotFound, show(inquiryID))
	}
	err = c.send(ctx, request{
		what: "generate a one-time link", method: http.MethodPost, path: "/api/v1/inquiries/" + inquiryID + "/generate-one-time-link",
		// Without an Idempotency-Key: under one, Persona would repeat a link that was used. The request has nothing in it
		// that could be wrong but the state of the inquiry (docs.withpersona.com/errors).
		refusals: map[int]error{
			http.StatusNotFound: ErrNotFound, http.StatusConflict: ErrClosed, http.StatusUnprocessableEntity: ErrClosed,
		},
		read: func(answer []byte) error {
			id, raw, err := readNamed(answer)
			if err == nil && id != inquiryID {
				err = fmt.Errorf("the answer is about the inquiry %q", show(id))
			}
			if err == nil {
				link, err = c.checkLink(raw)
			}
			return err
		},
	})
	if err != nil {
		return "", err
	}
	return link, nil
}

// readNamed reads which inquiry an answer is about, and the one-time link in it, if there is one.
func readNamed(answer []byte) (inquiryID, link string, err error) {
	var told struct {
		Data resource `json:"data"`
		Meta struct {
			Link string `json:"one-time-link"`
		} `json:"meta"`
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return "", "", noInquiry(err)
	}
	if told.Data.Type != "inquiry" || !isIdentifier(told.Data.ID) {
		return "", "", fmt.Errorf("the answer is not an inquiry: its type is %q, its id %q", show(told.Data.Type), show(told.Data.ID))
	}
	return told.Data.ID, told.Meta.Link, nil
}

// checkLink returns a link as we have understood it. A browser is sent there, with what the person is about to show. The
// error does not tell the link: whoever has it can use it.
func (c *Client) checkLink(raw string) (string, error) {
	u, err := url.Parse(raw)
	if len(raw) > maxLink || err != nil || u.User != nil || u.Fragment != "" || !c.leadsThere(u) {
		return "", errors.New("the one-time link does not lead to the identity service")
	}
	return u.String(), nil
}

// isIdentifier says whether s may be an id of Persona's: letters, digits, "_" and "-", which mean nothing in a path.
func isIdentifier(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxIdentifier
}

// isReference says whether s may be a reference of ours, which goes into a header: visible ASCII.
func isReference(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxReference
}
