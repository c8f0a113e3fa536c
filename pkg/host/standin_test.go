package host_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nightlatch/nightlatch/pkg/api"
)

const (
	audience   = "https://shop.example.com"
	serviceKey = "key-of-the-local-server"
)

// standIn is as much of the service as a host sees: everyone has 2FA on, and the code is always 123456. It signs really.
type standIn struct {
	http.Handler
	issuer string
	now    func() time.Time

	mu      sync.Mutex
	signing *jose.JSONWebKey
	public  jose.JSONWebKeySet
	pending map[string]api.ChallengeRequest // by challenge
}

func newStandIn(issuer string, now func() time.Time) *standIn {
	s := &standIn{issuer: issuer, now: now, pending: map[string]api.ChallengeRequest{}}
	s.rotate()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", s.jwks)
	mux.HandleFunc("POST /v1/challenges", s.challenge)
	mux.HandleFunc("POST /v1/verify", s.verify)
	s.Handler = mux
	return s
}

// startStandIn starts one behind a real port.
func startStandIn() (*standIn, *httptest.Server) {
	server := httptest.NewUnstartedServer(nil)
	s := newStandIn("http://"+server.Listener.Addr().String(), time.Now)
	server.Config.Handler = s
	server.Start()
	return s, server
}

// rotate publishes a new key, keeps the old ones, and signs with the new one.
func (s *standIn) rotate() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signing = &jose.JSONWebKey{
		Key: private, KeyID: "key-" + strconv.Itoa(len(s.public.Keys)+1), Algorithm: "ES256", Use: "sig",
	}
	s.public.Keys = append(s.public.Keys, s.signing.Public())
}

func (s *standIn) jwks(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(s.public)
}

func (s *standIn) challenge(w http.ResponseWriter, r *http.Request) {
	var in api.ChallengeRequest
	if r.Header.Get("Authorization") != "Bearer "+serviceKey {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	challenge := rand.Text()
	s.mu.Lock()
	s.pending[challenge] = in
	s.mu.Unlock()
	expires := s.now().Add(10 * time.Minute)
	json.NewEncoder(w).Encode(api.ChallengeResponse{
		Required: true, Methods: []string{"totp", "backup_code"}, Challenge: challenge, ExpiresAt: &expires,
	})
}

func (s *standIn) verify(w http.ResponseWriter, r *http.Request) {
	var in api.VerifyRequest
	err := json.NewDecoder(r.Body).Decode(&in)
	s.mu.Lock()
	signIn, ok := s.pending[in.Challenge]
	delete(s.pending, in.Challenge)
	s.mu.Unlock()
	if err != nil || !ok || in.Code != "123456" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	claims := s.claims(signIn.UserID, signIn.Nonce)
	claims["amr"] = append(signIn.AMR, "otp", "mfa")
	json.NewEncoder(w).Encode(api.VerifyResponse{Assertion: s.sign(claims), State: "enabled"})
}

// claims are those of an assertion that was made a moment ago.
func (s *standIn) claims(user, nonce string) map[string]any {
	now := s.now().Unix()
	return map[string]any{
		"iss": s.issuer, "aud": audience, "sub": user, "iat": now, "exp": now + 60, "jti": rand.Text(), "nonce": nonce,
		"auth_time": now, "method": "totp", "state": "enabled", "amr": []string{"pwd", "otp", "mfa"},
	}
}

// sign signs with the newest key.
func (s *standIn) sign(claims map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sign(jose.ES256, *s.signing, "nightlatch+jwt", claims)
}

// sign signs anything with any key; an empty typ is none.
func sign(algorithm jose.SignatureAlgorithm, key jose.JSONWebKey, typ string, claims map[string]any) string {
	options := &jose.SignerOptions{}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	return signWith(algorithm, key, options, claims)
}

func signWith(algorithm jose.SignatureAlgorithm, key jose.JSONWebKey, options *jose.SignerOptions, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}
