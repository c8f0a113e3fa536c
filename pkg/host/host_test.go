package host_test

import (
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/host"
)

func TestNew(t *testing.T) {
	t.Parallel()
	good := host.Config{
		URL: issuer, Audience: audience, Credentials: host.ServiceKey(serviceKey), Redeemer: host.NewMemoryRedeemer(),
	}
	tests := map[string]struct {
		edit func(*host.Config)
		want string // in the error
	}{
		"as little as can be": {func(*host.Config) {}, ""},
		"with a path":         {func(c *host.Config) { c.URL = "https://api.example.com/stage/" }, ""},
		"localhost":           {func(c *host.Config) { c.URL = "http://localhost:8787" }, ""},
		"127.0.0.1":           {func(c *host.Config) { c.URL = "http://127.0.0.1:8787" }, ""},
		"::1":                 {func(c *host.Config) { c.URL = "http://[::1]:8787" }, ""},
		"a role":              {func(c *host.Config) { c.Credentials = host.SigV4{Provider: role, Region: "eu-central-1"} }, ""},
		"no URL":              {func(c *host.Config) { c.URL = "" }, "URL"},
		"no scheme":           {func(c *host.Config) { c.URL = "2fa.example.com" }, "URL"},
		"no host":             {func(c *host.Config) { c.URL = "https://" }, "URL"},
		"a port only":         {func(c *host.Config) { c.URL = "https://:443" }, "URL"},
		"a path only":         {func(c *host.Config) { c.URL = "https:/v1" }, "URL"},
		"other scheme":        {func(c *host.Config) { c.URL = "ftp://2fa.example.com" }, "URL"},
		"no URL at all":       {func(c *host.Config) { c.URL = "https://a b" }, "URL"},
		"plain HTTP":          {func(c *host.Config) { c.URL = "http://2fa.example.com" }, "URL: must be https"},
		"almost loopback":     {func(c *host.Config) { c.URL = "http://localhost.example.com" }, "URL: must be https"},
		"almost 127.0.0.1":    {func(c *host.Config) { c.URL = "http://127.0.0.1.example.com" }, "URL: must be https"},
		"any address":         {func(c *host.Config) { c.URL = "http://0.0.0.0:8787" }, "URL: must be https"},
		"a user":              {func(c *host.Config) { c.URL = "https://u:hunter2@2fa.example.com" }, "URL"},
		"a user, unparsable":  {func(c *host.Config) { c.URL = "https://u:hunter2@2fa.example.com:x" }, "URL"},
		"a query":             {func(c *host.Config) { c.URL = issuer + "?a=b" }, "URL"},
		"an empty query":      {func(c *host.Config) { c.URL = issuer + "?" }, "URL"},
		"a fragment":          {func(c *host.Config) { c.URL = issuer + "#a" }, "URL"},
		"no audience":         {func(c *host.Config) { c.Audience = "" }, "Audience"},
		"no credentials":      {func(c *host.Config) { c.Credentials = nil }, "Credentials"},
		"no service key":      {func(c *host.Config) { c.Credentials = host.ServiceKey("") }, "Credentials: a ServiceKey"},
		"key with a line":     {func(c *host.Config) { c.Credentials = host.ServiceKey("hunter2\n") }, "Credentials: a ServiceKey"},
		"key with a letter é": {func(c *host.Config) { c.Credentials = host.ServiceKey("hunter2é") }, "Credentials: a ServiceKey"},
		"a role of nobody":    {func(c *host.Config) { c.Credentials = host.SigV4{Region: "eu-central-1"} }, "Credentials: SigV4.Provider"},
		"a role of no region": {func(c *host.Config) { c.Credentials = host.SigV4{Provider: role} }, "Credentials: SigV4.Region"},
		"no redeemer":         {func(c *host.Config) { c.Redeemer = nil }, "Redeemer"},
	}
	for name, test := range tests {
		c := good
		test.edit(&c)
		client, err := host.New(c)
		if test.want == "" {
			if err != nil || client == nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || client != nil || !strings.HasPrefix(err.Error(), "host: "+test.want) {
			t.Errorf("%s: %v; want one that begins with %q", name, err, "host: "+test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}
