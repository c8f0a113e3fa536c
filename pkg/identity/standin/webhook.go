package standin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/nightlatch/nightlatch/pkg/identity"
)

// deliverFor is how long whoever gets a webhook may take over it (docs.withpersona.com/webhooks).
const deliverFor = 5 * time.Second

// deliveries are the pauses before a webhook is sent, and sent again. Persona goes on for a day and a half.
var deliveries = []time.Duration{0, time.Second, 5 * time.Second, 30 * time.Second}

// taken are the answers that mean a webhook has arrived.
var taken = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}

// events are what Persona calls a change (docs.withpersona.com/model-lifecycle).
var events = map[identity.Status]string{
	identity.StatusCompleted: "inquiry.completed", identity.StatusFailed: "inquiry.failed", identity.StatusExpired: "inquiry.expired",
	identity.StatusApproved: "inquiry.approved", identity.StatusDeclined: "inquiry.declined",
	identity.StatusNeedsReview: "inquiry.marked-for-review",
}

// tell sends a webhook about an inquiry, in the background.
func (s *Service) tell(i inquiry) {
	if s.config.WebhookURL == "" {
		return
	}
	body := newAnswer(0, object{"data": object{"type": "event", "id": newID("evt"), "attributes": object{
		"name":       events[i.Status],
		"payload":    object{"data": i.resource(nil), "included": i.verifications(nil)},
		"created-at": when(s.config.Now()),
	}}}).Body
	s.sending.Go(func() {
		var err error
		for attempt, pause := range deliveries {
			if !sleep(s.ctx, pause) {
				return
			}
			if err = s.deliver(body, attempt); err == nil {
				return
			}
		}
		s.config.Log.Warn("a webhook of the identity check was not taken", "event", events[i.Status], "error", err)
	})
}

// deliver sends a webhook once, signed anew.
func (s *Service) deliver(body []byte, attempt int) error {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.config.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set(identity.SignatureHeader, identity.Sign(s.config.WebhookSecret, body, s.config.Now()))
	r.Header.Set("Persona-Webhook-Attempts-Made", fmt.Sprint(attempt+1))
	r.Header.Set("Persona-Webhook-Attempts-Left", fmt.Sprint(len(deliveries)-attempt-1))
	response, err := s.webhooks.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !slices.Contains(taken, response.StatusCode) {
		return fmt.Errorf("the status is %d", response.StatusCode)
	}
	return nil
}

// sleep reports whether there was time for it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
