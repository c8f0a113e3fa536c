package main

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// expiring holds values by a random id that only the browser's cookie has. The zero value is ready. REPLACE: your store of
// sessions.
type expiring[T any] struct {
	mu   sync.Mutex
	byID map[string]kept[T]
}

type kept[T any] struct {
	value T
	ends  time.Time
}

// keep forgets what has expired, and returns the id of what is new.
func (e *expiring[T]) keep(v T, lives time.Duration) (id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if e.byID == nil {
		e.byID = map[string]kept[T]{}
	}
	for id, old := range e.byID {
		if !now.Before(old.ends) {
			delete(e.byID, id)
		}
	}
	id = rand.Text()
	e.byID[id] = kept[T]{v, now.Add(lives)}
	return id
}

func (e *expiring[T]) find(id string) (v T, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.byID[id]
	return k.value, ok && time.Now().Before(k.ends)
}

func (e *expiring[T]) drop(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byID, id)
}

func cookie(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// setCookie sets a cookie; one that lives for no time is removed. REPLACE: add Secure and names that begin with __Host-,
// which plain HTTP on this machine cannot have. Strict, so that no other site can send them.
func setCookie(w http.ResponseWriter, name, value string, lives time.Duration) {
	age := int(lives / time.Second)
	if age == 0 {
		age = -1 // of http.Cookie: at once
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
