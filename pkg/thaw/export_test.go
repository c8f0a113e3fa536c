package thaw

import (
	"crypto/x509"
	"net/http"
)

// Trust has a client believe the certificates of a test.
func Trust(c *http.Client, roots *x509.CertPool) {
	c.Transport.(redial).TLSClientConfig.RootCAs = roots
}
