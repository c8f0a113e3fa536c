package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightlatch/nightlatch/pkg/api"
)

// maxOffset is how far the clock can be put forward. There is no way back, so a slip of the finger must not make the
// data directory useless.
const maxOffset = 10 * 365 * 24 * time.Hour

// serviceClock is the real time plus an offset, so that waiting times can be seen. Everything reads it: the rules, the
// tokens, the sessions, the pending sign-ins. It only goes forward, since steps that are spent and locks that are set
// would otherwise lie in the future.
type serviceClock struct {
	path   string // where the offset is kept
	mu     sync.Mutex
	offset atomic.Int64 // whole seconds
}

type clockResponse struct {
	OffsetSeconds int64     `json:"offset_seconds"`
	Now           time.Time `json:"now"`
}

type clockRequest struct {
	OffsetSeconds int64 `json:"offset_seconds"`
}

func openClock(path string) (*serviceClock, error) {
	c := &serviceClock{path: path}
	content, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var kept clockRequest
	if err := json.Unmarshal(content, &kept); err != nil || kept.check() != nil {
		return nil, fmt.Errorf("%s: does not hold the clock's offset; remove it for the real time", path)
	}
	c.offset.Store(kept.OffsetSeconds)
	return c, nil
}

func (r clockRequest) check() error {
	if r.OffsetSeconds < 0 || r.OffsetSeconds > int64(maxOffset/time.Second) {
		return api.NewProblem(api.CodeInvalidRequest,
			fmt.Sprintf("offset_seconds: must be 0 to %d, ten years", int64(maxOffset/time.Second)))
	}
	return nil
}

func (c *serviceClock) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load()) * time.Second)
}

func (c *serviceClock) get(http.ResponseWriter, *http.Request, nothing) (clockResponse, error) {
	return clockResponse{OffsetSeconds: c.offset.Load(), Now: c.now().UTC()}, nil
}

// set puts the clock forward, to an offset from the real time. It is kept before it is in force.
func (c *serviceClock) set(w http.ResponseWriter, r *http.Request, in clockRequest) (clockResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if in.OffsetSeconds < c.offset.Load() {
		return clockResponse{}, api.NewProblem(api.CodeConflict, fmt.Sprintf(
			"The clock only goes forward: offset_seconds is %d already. For the real time, start with another -data directory.",
			c.offset.Load()))
	}
	if err := in.check(); err != nil {
		return clockResponse{}, err
	}
	content, err := json.Marshal(in)
	if err != nil {
		return clockResponse{}, err
	}
	if err := replacePrivate(c.path, content); err != nil {
		return clockResponse{}, err
	}
	c.offset.Store(in.OffsetSeconds)
	return c.get(w, r, nothing{})
}
