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

// Client returns a client for one service of AWS, with the SDK's own settings of a connection. An attempt ends after the
// timeout, its answer's body included. After one that failed, the next opens a connection of its own. No redirect is followed:
// these services have none to give, and what is meant for them is for nobody else.
func Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: redial{awshttp.NewBuildableClient().GetTransport()}, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
