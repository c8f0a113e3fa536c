package api

import (
	"bytes"
	_ "embed"
	"time"
)

// EventSource is the source of what the event bus carries. The detail type is the event's type.
const EventSource = "nightlatch.2fa"

// EventVersion is the version of [BusEvent]. Members that are added do not raise it.
const EventVersion = 1

// BusEvent is the detail of an event on the bus. It comes at least once, and in any order; User and ID together name it.
// It holds no secret, no address and nothing that was written by people.
type BusEvent struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	User      string    `json:"user"`
	At        time.Time `json:"at"`
	Type      string    `json:"type"`
	Outcome   string    `json:"outcome"`
	Method    string    `json:"method"`
	Actor     string    `json:"actor"`
	IP        string    `json:"ip,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

//go:embed events.schema.json
var eventSchemas []byte

// EventSchemas returns the JSON Schema (2020-12) of [BusEvent], with a definition for each type. The bytes are the caller's.
func EventSchemas() []byte { return bytes.Clone(eventSchemas) }
