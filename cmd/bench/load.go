package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// call is a request as it goes over the wire, and what it must be answered: a status and a text in the body.
type call struct {
	wire []byte
	want int
	has  string
}

// post writes a call. The load is on the same machine as what it is for: nothing is made while it runs that can be made
// before.
func post(host, path string, header http.Header, body []byte, want int) call {
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, host, len(body))
	_ = header.Write(&wire) // a buffer takes everything
	wire.WriteString("\r\n")
	wire.Write(body)
	return call{wire: wire.Bytes(), want: want}
}

// connection sends calls one after the other and keeps the connection.
type connection struct {
	net.Conn
	in *bufio.Reader
}

func connect(host string) (*connection, error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &connection{c, bufio.NewReader(c)}, nil
}

func (c *connection) close() { _ = c.Close() } // all has been read

// send returns the body of the answer, which is good until the next one, and fails for a status that is not wanted.
func (c *connection) send(q call) ([]byte, error) {
	if _, err := c.Write(q.wire); err != nil {
		return nil, err
	}
	line, err := c.in.ReadSlice('\n') // HTTP/1.1 200 OK
	if err != nil || len(line) < 12 {
		return nil, fmt.Errorf("the connection ended: %w", err)
	}
	status, length := string(line[9:12]), 0
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, err
	}
	if status != strconv.Itoa(q.want) || !bytes.Contains(body, []byte(q.has)) {
		return nil, fmt.Errorf("answered %s %s, want %d %s", status, body, q.want, q.has)
	}
	return body, nil
}

// together has each connection send its calls, and hands every answer to take, if there is one. It returns how long
// each call took, and how long they all took.
func together(host string, each [][]call, take func(client, i int, body []byte)) (took []time.Duration, all time.Duration, err error) {
	connections := make([]*connection, len(each))
	for i := range connections {
		if connections[i], err = connect(host); err != nil {
			return nil, 0, err
		}
		defer connections[i].close()
	}
	times := make([][]time.Duration, len(each))
	errs := make([]error, len(each))
	var wait sync.WaitGroup
	begun := time.Now()
	for client, calls := range each {
		wait.Go(func() {
			times[client] = make([]time.Duration, 0, len(calls))
			for i, q := range calls {
				sent := time.Now()
				body, err := connections[client].send(q)
				if err != nil {
					errs[client] = err
					return
				}
				times[client] = append(times[client], time.Since(sent))
				if take != nil {
					take(client, i, body)
				}
			}
		})
	}
	wait.Wait()
	all = time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return nil, 0, err
		}
	}
	return slices.Concat(times...), all, nil
}

// quantile of sorted times, of which there are some.
func quantile(took []time.Duration, q float64) time.Duration {
	return took[int(q*float64(len(took)-1))]
}
