package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/nightlatch/nightlatch/pkg/api"
	"github.com/nightlatch/nightlatch/pkg/host"
)

// A whole sign-in: what a login back end does after the password was right, and when the browser comes back.
func Example() {
	_, service := startStandIn() // stands in for a deployment
	defer service.Close()
	ctx := context.Background()

	client, err := host.New(host.Config{
		URL:         service.URL,
		Audience:    "https://shop.example.com",
		Credentials: host.ServiceKey("key-of-the-local-server"), // on AWS: host.SigV4{Provider: cfg.Credentials, Region: cfg.Region}
		Redeemer:    host.NewMemoryRedeemer(),                   // of several servers: one on their database
	})
	if err != nil {
		log.Fatal(err)
	}

	// The password was right. User and nonce are kept in the pending sign-in, on the server.
	pending := host.Expected{User: "alice", Nonce: host.NewNonce()}
	offer, err := client.Challenge(ctx, api.ChallengeRequest{
		UserID: pending.User, Nonce: pending.Nonce, Email: "alice@example.com", AMR: []string{"pwd"}, IP: "203.0.113.7",
	})
	if err != nil {
		log.Fatal(err) // nobody is signed in
	}
	if !offer.Required {
		if err := client.Report(ctx, pending.User, api.HostEventRequest{Type: "login", IP: "203.0.113.7"}); err != nil {
			log.Fatal(err) // nobody is signed in: the history would not have it
		}
		fmt.Println(pending.User, "is signed in by the password alone")
		return
	}

	// The browser takes the challenge and the user's code to the service, and comes back with an assertion.
	assertion := browser(service.URL, offer.Challenge, "123456")
	claims, err := client.VerifyAssertion(ctx, assertion, pending)
	if err != nil {
		log.Fatal(err) // nobody is signed in
	}
	fmt.Println(claims.User, "is signed in:", claims.AMR)

	_, err = client.VerifyAssertion(ctx, assertion, pending)
	fmt.Println("and cannot be with the same assertion again:", errors.Is(err, host.ErrRedeemed))

	// Output:
	// alice is signed in: [pwd otp mfa]
	// and cannot be with the same assertion again: true
}

// browser is what the sign-in page does.
func browser(service, challenge, code string) (assertion string) {
	body, err := json.Marshal(api.VerifyRequest{Challenge: challenge, Method: "totp", Code: code})
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Post(service+"/v1/verify", "application/json", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var answer api.VerifyResponse
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	return answer.Assertion
}
