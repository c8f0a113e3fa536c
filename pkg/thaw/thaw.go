// Package thaw makes HTTP clients for functions that are frozen between two requests.
//
// A function that was frozen finds the connections that it kept dead, since the time after which they would have been
// closed stands still meanwhile. Each attempt of a request would take the next dead one, until there are no more attempts.
package thaw

import (
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Client returns a client for one service of AWS. An attempt ends after the timeout, its answer's body included. After one
// that failed, the next opens a connection of its own, as [Transport] does it. No redirect is followed: these services have
// none to give, and what is meant for them is for nobody else.
func Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: Transport(), Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Transport returns what a [Client] sends with, for a client whose attempts have an end of their own. It has the SDK's
// settings of a connection, but for less patience with headers, and for HTTP/2: all requests would share one connection, which
// is not closed as long as one of them is being given up, so that each would take the dead one again.
func Transport() http.RoundTripper {
	t := awshttp.NewBuildableClient().GetTransport()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.MaxResponseHeaderBytes = 64 << 10
	return redial{t}
}

// redial closes the connections that are kept when an attempt fails.
type redial struct{ *http.Transport }

func (r redial) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.Transport.RoundTrip(request)
	if err != nil {
		r.CloseIdleConnections()
	}
	return answer, err
}
