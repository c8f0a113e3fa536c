package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// schema is the version of the envelope that this code writes, and the newest that it reads.
const schema = 1

// An envelope is a sealed keyset as it is stored, in JSON. Only what is sealed is secret and authenticated; the times
// are the writing side's own notes, and nothing else may write the config table.
type envelope struct {
	Schema  int              `json:"schema"`
	Purpose Purpose          `json:"purpose"`
	Keys    map[uint32]times `json:"keys"`
	Sealed  []byte           `json:"sealed"`
}

// times are a key's. Published is when the key was first known to be in the JWK set: for signing keys
// only, and zero before. Promoted is when new things were last begun to be made with it; zero: they never were.
type times struct {
	Created   time.Time `json:"created"`
	Published time.Time `json:"published,omitzero"`
	Promoted  time.Time `json:"promoted,omitzero"`
}

// read returns the purpose's envelope and its version; ErrNoKeyset if there is none.
func read(ctx context.Context, store Store, p Purpose) (envelope, int64, error) {
	value, version, err := store.LoadConfig(ctx, p.item())
	if err != nil {
		return envelope{}, 0, err
	}
	if version == 0 {
		return envelope{}, 0, ErrNoKeyset
	}
	e, err := decode(value, p)
	return e, version, err
}

// decode is strict: a field it does not know would be lost when the envelope is written again.
func decode(value []byte, p Purpose) (envelope, error) {
	var kind struct{ Schema int }
	if err := json.Unmarshal(value, &kind); err != nil {
		return envelope{}, fmt.Errorf("not an envelope: %w", err)
	}
	if kind.Schema > schema {
		return envelope{}, fmt.Errorf("written by newer code: schema %d, this code knows %d", kind.Schema, schema)
	}
	var e envelope
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return envelope{}, fmt.Errorf("not an envelope: %w", err)
	}
	switch {
	case e.Schema != schema:
		return envelope{}, fmt.Errorf("not an envelope: schema %d", e.Schema)
	case e.Purpose != p:
		return envelope{}, fmt.Errorf("holds the keyset of %q", e.Purpose)
	}
	return e, nil
}

// replace stores the envelope as the given version. A conflict with the very bytes it wrote is no conflict, but its own
// write whose answer was lost: sealing is randomised, so nobody else's are the same, or they mean the same.
func (e envelope) replace(ctx context.Context, store Store, version int64) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	err = store.ReplaceConfig(ctx, e.Purpose.item(), value, version)
	if lostRace(err) {
		stored, at, loadErr := store.LoadConfig(ctx, e.Purpose.item())
		if loadErr == nil && at == version && bytes.Equal(stored, value) {
			return nil
		}
	}
	return err
}

// seal returns the envelope with another keyset in it. A KEK in KMS takes 4096 bytes of plaintext: about 18 signing keys
// or 30 of any other kind.
func (e envelope) seal(ctx context.Context, h *keyset.Handle, kek tink.AEADWithContext) (envelope, error) {
	var sealed keyset.MemReaderWriter
	if err := h.WriteWithContext(ctx, &sealed, kek, []byte(e.Purpose)); err != nil {
		return envelope{}, fmt.Errorf("does not seal: %w", err)
	}
	e.Sealed = sealed.EncryptedKeyset.GetEncryptedKeyset()
	return e, nil
}

func (e envelope) open(ctx context.Context, kek tink.AEADWithContext) (*keyset.Handle, error) {
	sealed := keyset.MemReaderWriter{EncryptedKeyset: &tinkpb.EncryptedKeyset{EncryptedKeyset: e.Sealed}}
	h, err := keyset.ReadWithContext(ctx, &sealed, kek, []byte(e.Purpose))
	if err != nil {
		return nil, fmt.Errorf("does not open: %w", err)
	}
	return h, nil
}

// with returns the envelope with the times of one key set, and the receiver's map untouched.
func (e envelope) with(keyID uint32, t times) envelope {
	keys := maps.Clone(e.Keys)
	if keys == nil {
		keys = make(map[uint32]times)
	}
	keys[keyID] = t
	e.Keys = keys
	return e
}
