package main

import (
	"net/http"
	"time"
)

// mail is one that was sent, as the inbox shows it.
type mail struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	To      []string  `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
}

// inbox lists the mails, newest first. Nothing that this server does sends any.
func inbox(http.ResponseWriter, *http.Request, nothing) ([]mail, error) {
	return []mail{}, nil
}
