package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts the pages of its file: a page that makes no sense ends the process, sends it round in circles or, if it
// is one of the two headers, takes it silently back to the transaction before. So the file is read here first, page by
// page, as bbolt 1.x lays it out: a header and its twin, a list of free pages, and B+trees of branch and leaf pages.
// Numbers are in the byte order of the machine. What is not checked are the values; bbolt keeps no checksums of them.

// The parts of a file, in bytes.
const (
	pageHead   = 16 // id 8, kind 2, count 2, further pages 4
	metaSize   = 64 // magic 4, version 4, page size 4, flags 4, root 16, free list 8, pages 8, transaction 8, checksum 8
	elemSize   = 16 // of a branch: position 4, key size 4, page 8; of a leaf: flags 4, position 4, key size 4, value size 4
	bucketHead = 16 // root page 8, sequence 8

	kindBranch   = 0x01
	kindLeaf     = 0x02
	kindMeta     = 0x04
	kindFreelist = 0x10

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)
)

var order = binary.NativeEndian

// meta is what one of the two headers says. The one with the higher transaction is in force.
type meta struct {
	pageSize, root, freelist, pages, tx uint64
}

// checker reads the file of one meta.
type checker struct {
	file io.ReaderAt
	meta
	used []bool // pages that something has claimed
}

// checkFile reads every page that is in use. The error is [ErrDamaged] or that of reading the file.
func checkFile(file io.ReaderAt, size int64) error {
	m, err := readMetas(file)
	if err != nil {
		return err
	}
	if m.pages < 4 || m.pages > uint64(size)/m.pageSize {
		return damaged("it has %d bytes, and should have %d pages of %d", size, m.pages, m.pageSize)
	}
	c := checker{file: file, meta: m, used: make([]bool, m.pages)}
	c.used[0], c.used[1] = true, true
	if err := c.free(); err != nil {
		return err
	}
	return c.tree(m.root, nil, nil)
}

// readMetas reads both headers and returns the one in force. bbolt would make do with one: but if the other was the
// newer, writes that were acknowledged would be gone without a word.
func readMetas(file io.ReaderAt) (meta, error) {
	first, err := readMeta(file, 0)
	if err != nil {
		return meta{}, fmt.Errorf("first header: %w", err)
	}
	second, err := readMeta(file, int64(first.pageSize))
	if err != nil {
		return meta{}, fmt.Errorf("second header: %w", err)
	}
	if first.pageSize != second.pageSize {
		return meta{}, damaged("the headers differ")
	}
	if second.tx > first.tx {
		return second, nil
	}
	return first, nil
}

func readMeta(file io.ReaderAt, at int64) (meta, error) {
	b, err := read(file, at, pageHead+metaSize)
	if err != nil {
		return meta{}, err
	}
	b = b[pageHead:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m := meta{
		pageSize: uint64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		tx:       order.Uint64(b[48:]),
	}
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[56:]) != sum.Sum64() ||
		m.pageSize < 1<<10 || m.pageSize > 1<<24 || m.pageSize&(m.pageSize-1) != 0 {
		return meta{}, damaged("it contradicts its checksum")
	}
	return m, nil
}

// page claims a page with those that continue it, and returns it.
func (c *checker) page(id uint64) (p []byte, kind, count int, err error) {
	if id >= c.pages {
		return nil, 0, 0, damaged("page %d of %d", id, c.pages)
	}
	at := int64(id * c.pageSize)
	p, err = read(c.file, at, int(c.pageSize))
	if err != nil {
		return nil, 0, 0, err
	}
	more := uint64(order.Uint32(p[12:]))
	if order.Uint64(p) != id || more >= c.pages-id {
		return nil, 0, 0, damaged("page %d says that it is page %d and has %d more", id, order.Uint64(p), more)
	}
	for i := id; i <= id+more; i++ {
		if err := c.claim(i); err != nil {
			return nil, 0, 0, err
		}
	}
	if more > 0 {
		if p, err = read(c.file, at, int((more+1)*c.pageSize)); err != nil {
			return nil, 0, 0, err
		}
	}
	return p, int(order.Uint16(p[8:])), int(order.Uint16(p[10:])), nil
}

// claim marks a page as used. That no page is used twice also rules out circles.
func (c *checker) claim(id uint64) error {
	if id >= c.pages || c.used[id] {
		return damaged("page %d is used twice, or there is none", id)
	}
	c.used[id] = true
	return nil
}

// free claims the list of free pages and the pages on it.
func (c *checker) free() error {
	if c.freelist == noFreelist {
		return nil // bbolt finds them itself
	}
	p, kind, count, err := c.page(c.freelist)
	if err != nil {
		return err
	}
	ids := p[pageHead:]
	if count == 0xFFFF { // the first number is the count
		count = int(min(order.Uint64(ids), c.pages))
		ids = ids[8:]
	}
	if kind != kindFreelist || count > len(ids)/8 {
		return damaged("the list of free pages is of kind %#x and has %d of them", kind, count)
	}
	for i := range count {
		if err := c.claim(order.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// tree reads the tree whose root is the page id. Its keys are at least from and less than to, where given.
func (c *checker) tree(id uint64, from, to []byte) error {
	p, kind, count, err := c.page(id)
	if err != nil {
		return err
	}
	switch kind {
	case kindBranch:
		return c.branch(p, id, count, from, to)
	case kindLeaf:
		return c.leaf(p, id, count, from, to)
	}
	return damaged("page %d of a tree is of kind %#x", id, kind)
}

func (c *checker) branch(p []byte, id uint64, count int, from, to []byte) error {
	if count == 0 {
		return damaged("page %d leads nowhere", id)
	}
	type child struct {
		key  []byte
		page uint64
	}
	children := make([]child, count)
	for i := range children {
		e, err := element(p, id, i)
		if err != nil {
			return err
		}
		key, _, err := slice(p, id, i, order.Uint32(e), order.Uint32(e[4:]), 0)
		if err != nil {
			return err
		}
		if err := inOrder(id, i, key, from, to); err != nil {
			return err
		}
		from = key
		children[i] = child{key, order.Uint64(e[8:])}
	}
	for i, child := range children {
		end := to
		if i+1 < count {
			end = children[i+1].key
		}
		if err := c.tree(child.page, child.key, end); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) leaf(p []byte, id uint64, count int, from, to []byte) error {
	for i := range count {
		e, err := element(p, id, i)
		if err != nil {
			return err
		}
		key, value, err := slice(p, id, i, order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:]))
		if err != nil {
			return err
		}
		if err := inOrder(id, i, key, from, to); err != nil {
			return err
		}
		from = key
		switch flags := order.Uint32(e); flags {
		case 0:
		case 1:
			if err := c.bucket(value, id); err != nil {
				return err
			}
		default:
			return damaged("page %d, entry %d has flags %#x", id, i, flags)
		}
	}
	return nil
}

// bucket reads a bucket: the root of its tree, or, if it is small, the only page of it in place.
func (c *checker) bucket(value []byte, id uint64) error {
	if len(value) < bucketHead {
		return damaged("page %d has a bucket of %d bytes", id, len(value))
	}
	if root := order.Uint64(value); root != 0 {
		return c.tree(root, nil, nil)
	}
	p := value[bucketHead:]
	if len(p) < pageHead || order.Uint16(p[8:]) != kindLeaf {
		return damaged("page %d has a bucket that is no leaf", id)
	}
	return c.leaf(p, id, int(order.Uint16(p[10:])), nil, nil)
}

// element returns the i-th element of a page.
func element(p []byte, id uint64, i int) ([]byte, error) {
	at := pageHead + i*elemSize
	if at+elemSize > len(p) {
		return nil, damaged("page %d has no room for entry %d", id, i)
	}
	return p[at : at+elemSize], nil
}

// slice returns key and value of the i-th element, which are pos bytes after the element.
func slice(p []byte, id uint64, i int, pos, keySize, valueSize uint32) (key, value []byte, err error) {
	at := uint64(pageHead+i*elemSize) + uint64(pos)
	end := at + uint64(keySize) + uint64(valueSize)
	if end > uint64(len(p)) {
		return nil, nil, damaged("page %d, entry %d ends outside", id, i)
	}
	return p[at : at+uint64(keySize)], p[at+uint64(keySize) : end], nil
}

// inOrder checks the key of the i-th element against the one before, or the parent's key, and the end of the range.
func inOrder(id uint64, i int, key, from, to []byte) error {
	least := bytes.Compare(key, from)
	if (i == 0 && least < 0) || (i > 0 && least <= 0) || (to != nil && bytes.Compare(key, to) >= 0) {
		return damaged("page %d, entry %d is out of order", id, i)
	}
	return nil
}

func read(file io.ReaderAt, at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := file.ReadAt(b, at); errors.Is(err, io.EOF) {
		return nil, damaged("it ends before byte %d", at+int64(n))
	} else if err != nil {
		return nil, err
	}
	return b, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}
