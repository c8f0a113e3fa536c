package standin

import "net/http"

// Break has requests fail behind the Idempotency-Keys, with the status that fault says; 0 lets one pass.
func (s *Service) Break(fault func(*http.Request) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Wait waits until everything has been sent, or given up.
func (s *Service) Wait() { s.sending.Wait() }
