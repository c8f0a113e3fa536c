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

// atOnce has clients do something, each on a connection of its own, and returns how long it took.
func atOnce(host string, clients int, do func(client int, c *connection) error) (lasted time.Duration, err error) {
	connections := make([]*connection, clients)
	for i := range connections {
		if connections[i], err = connect(host); err != nil {
			return 0, err
		}
		defer connections[i].close()
	}
	errs := make([]error, clients)
	var wait sync.WaitGroup
	begun := time.Now()
	for client, c := range connections {
		wait.Go(func() { errs[client] = do(client, c) })
	}
	wait.Wait()
	lasted = time.Since(begun)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return lasted, nil
}

// together has each connection send its calls, and hands every answer to take, if there is one. It returns how long
// each call took, and how long they all took.
func together(host string, each [][]call, take func(client, i int, body []byte)) (took []time.Duration, lasted time.Duration, err error) {
	times := make([][]time.Duration, len(each))
	lasted, err = atOnce(host, len(each), func(client int, c *connection) error {
		times[client] = make([]time.Duration, 0, len(each[client]))
		for i, q := range each[client] {
			sent := time.Now()
			body, err := c.send(q)
			if err != nil {
				return err
			}
			times[client] = append(times[client], time.Since(sent))
			if take != nil {
				take(client, i, body)
			}
		}
		return nil
	})
	return slices.Concat(times...), lasted, err
}

// quantile of what is sorted, of which there is some.
func quantile[T any](sorted []T, q float64) T { return sorted[int(q*float64(len(sorted)-1))] }
