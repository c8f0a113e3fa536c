package boltstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// FuzzDecodeAccount: what stands in the place of an account is that user's account, of the version that its head says, or an
// error; never a crash, and never the account of somebody who has none.
func FuzzDecodeAccount(f *testing.F) {
	image := []byte(`{"user":"u","schema":1,"version":3,"auth":{"secret":{"gen":1,"box":"AAAA"}}}`)
	whole := append(head{version: 3, schema: 1, due: []byte("due")}.append(nil), image...)
	for _, seed := range [][]byte{{}, {0}, whole, whole[:12], whole[:14], append(head{version: 3, schema: 1}.append(nil), "null"...), append(head{version: 0, schema: 1}.append(nil), `{"user":"u"}`...)} {
		f.Add(seed)
	}
	f.Add(append(head{version: 3, schema: 1}.append(nil), `{"user":"v","schema":1,"version":3}`...))
	f.Add(append(head{version: 3, schema: twofactor.Schema + 1}.append(nil), image...))
	f.Add(append(head{version: -1, schema: 1}.append(nil), `{"user":"u","version":-1}`...))
	f.Fuzz(func(t *testing.T, stored []byte) {
		kept := bytes.Clone(stored)
		if stored == nil {
			stored = []byte{}
		}
		a, err := decode("u", stored)
		if !bytes.Equal(kept, stored) {
			t.Error("what is stored was changed")
		}
		switch {
		case err != nil && (a != nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, twofactor.ErrNewerSchema)):
			t.Errorf("%q: %+v, %v", stored, a, err)
		case err == nil && (a.User != "u" || a.Version < 1 || a.Schema < 1 || a.Schema > twofactor.Schema):
			t.Errorf("%q is taken for %+v", stored, a)
		case err == nil:
			if _, err := json.Marshal(a); err != nil {
				t.Errorf("%q cannot be stored again: %v", stored, err)
			}
		}
	})
}

// FuzzDecodeStream is the same for a record of the stream and a row of the history.
func FuzzDecodeStream(f *testing.F) {
	f.Add([]byte("\x01u" + `{"user":"u","schema":1,"version":3,"events":[{"id":"1","at":"2026-03-04T14:05:00Z","type":"login"}]}`))
	f.Add([]byte("\xffu{}"))
	f.Add([]byte(`{"id":"1","mailed":{"user":"2026-03-04T14:05:00Z"}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, record []byte) {
		user, image, err := splitRecord(record)
		if err != nil && (!errors.Is(err, ErrDamaged) || user != nil || image != nil) {
			t.Errorf("%q: %q, %q, %v", record, user, image, err)
		}
		if err == nil && !bytes.Equal(append(prefix(string(user)), image...), record) {
			t.Errorf("%q is split into %q and %q", record, user, image)
		}
		if v, err := decodeVersion(image); err != nil && (v.User != "" || v.Version != 0 || !errors.Is(err, ErrDamaged) && !errors.Is(err, twofactor.ErrNewerSchema)) {
			t.Errorf("%q: %+v, %v", image, v, err)
		}
		if events, err := decodeEvents([][]byte{record}); err != nil && (events != nil || !errors.Is(err, ErrDamaged)) {
			t.Errorf("%q: %+v, %v", record, events, err)
		}
		if row, mailed, err := splitRow(record); err != nil && (row != nil || mailed != nil || !errors.Is(err, ErrDamaged)) {
			t.Errorf("%q: %+v, %+v, %v", record, row, mailed, err)
		}
	})
}

// FuzzParseCursor: a cursor leads into the list that gave it, and comes out as it went in.
func FuzzParseCursor(f *testing.F) {
	at := time.Date(2026, 3, 4, 14, 5, 0, 7, time.UTC)
	list := prefix("u")
	f.Add(cursor(historyKey("u", twofactor.Event{ID: "1", At: at})))
	f.Add(cursor(historyKey("v", twofactor.Event{ID: "1", At: at})))
	f.Add("garbage\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := parseCursor(s, list)
		if err != nil {
			if key != nil || !errors.Is(err, twofactor.ErrCursor) {
				t.Errorf("%q: %q, %v", s, key, err)
			}
			return
		}
		if again, err := parseCursor(cursor(key), list); err != nil || !bytes.Equal(again, key) || !bytes.HasPrefix(key, list) {
			t.Errorf("%q is %q, and then %q, %v", s, key, again, err)
		}
	})
}

// FuzzFile: a file with a few bytes changed, wherever they are, is refused or can be followed to its end.
func FuzzFile(f *testing.F) {
	whole := byHand()
	f.Add(uint32(0), []byte("x"))
	for page := range len(whole) / testPage {
		f.Add(uint32(at(page)), []byte{1})
		f.Add(uint32(at(page)+10), []byte{0xff, 0xff})
		f.Add(uint32(at(page)+16), []byte{1, 0, 0, 0, 0xff})
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		file := bytes.Clone(whole)
		copy(file[int(at)%len(file):], patch)
		if err := checkFile(bytes.NewReader(file), int64(len(file))); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%d: %x: %v, want ErrDamaged", at, patch, err)
		}
	})
}
