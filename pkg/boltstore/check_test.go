package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
)

// A file made by hand, of eight pages of 1024 bytes: the headers, the free list (which has page 7), the root with a
// bucket of its own tree and one in place, and the tree: a branch with two leaves.
const (
	testPage                               = 1024
	pageFree, pageRoot, pageBranch, pageAB = 2, 3, 4, 5
	pageCD, pageUnused, testPages          = 6, 7, 8
)

type entry struct {
	flags uint32
	key   string
	value []byte
	child uint64
}

func at(page int) int { return page * testPage }

func putHead(b []byte, id uint64, kind, count uint16, more uint32) {
	order.PutUint64(b, id)
	order.PutUint16(b[8:], kind)
	order.PutUint16(b[10:], count)
	order.PutUint32(b[12:], more)
}

func putMeta(file []byte, page int, tx, root uint64) {
	b := file[at(page):]
	putHead(b, uint64(page), kindMeta, 0, 0)
	b = b[pageHead:]
	order.PutUint32(b, boltMagic)
	order.PutUint32(b[4:], boltVersion)
	order.PutUint32(b[8:], testPage)
	order.PutUint64(b[16:], root)
	order.PutUint64(b[32:], pageFree)
	order.PutUint64(b[40:], testPages)
	order.PutUint64(b[48:], tx)
	sign(b)
}

func sign(meta []byte) {
	sum := fnv.New64a()
	sum.Write(meta[:metaSize-8])
	order.PutUint64(meta[metaSize-8:], sum.Sum64())
}

// putEntries writes a leaf or a branch.
func putEntries(b []byte, id uint64, kind uint16, entries ...entry) {
	putHead(b, id, kind, uint16(len(entries)), 0)
	end := pageHead + len(entries)*elemSize
	for i, e := range entries {
		start := pageHead + i*elemSize
		elem := b[start:]
		pos := uint32(end - start)
		if kind == kindBranch {
			order.PutUint32(elem, pos)
			order.PutUint32(elem[4:], uint32(len(e.key)))
			order.PutUint64(elem[8:], e.child)
		} else {
			order.PutUint32(elem, e.flags)
			order.PutUint32(elem[4:], pos)
			order.PutUint32(elem[8:], uint32(len(e.key)))
			order.PutUint32(elem[12:], uint32(len(e.value)))
		}
		end += copy(b[end:], e.key)
		end += copy(b[end:], e.value)
	}
}

func leafOf(b []byte, id uint64, keys ...string) {
	var entries []entry
	for _, k := range keys {
		entries = append(entries, entry{key: k, value: []byte("value of " + k)})
	}
	putEntries(b, id, kindLeaf, entries...)
}

// root writes the root with the given buckets in it.
func root(file []byte, tree, inPlace []byte) {
	putEntries(file[at(pageRoot):], pageRoot, kindLeaf, entry{flags: 1, key: "in place", value: inPlace}, entry{flags: 1, key: "tree", value: tree})
}

func treeAt(page uint64) []byte { return append(order.AppendUint64(nil, page), make([]byte, 8)...) }

func inPlace() []byte {
	b := make([]byte, bucketHead+100)
	leafOf(b[bucketHead:], 0, "k", "l")
	return b
}

func byHand() []byte {
	file := make([]byte, testPages*testPage)
	putMeta(file, 0, 6, 99) // the transaction before; where it leads does not matter
	putMeta(file, 1, 7, pageRoot)
	putHead(file[at(pageFree):], pageFree, kindFreelist, 1, 0)
	order.PutUint64(file[at(pageFree)+pageHead:], pageUnused)
	root(file, treeAt(pageBranch), inPlace())
	putEntries(file[at(pageBranch):], pageBranch, kindBranch, entry{key: "a", child: pageAB}, entry{key: "c", child: pageCD})
	leafOf(file[at(pageAB):], pageAB, "a", "b")
	leafOf(file[at(pageCD):], pageCD, "c", "d")
	return file
}

// TestCheckFile breaks one rule at a time. The reason is compared, since another rule often notices too.
func TestCheckFile(t *testing.T) {
	t.Parallel()
	// Positions in the branch and the leaf of a and b.
	const secondElem = pageHead + elemSize
	for name, test := range map[string]struct {
		change func(b []byte)
		want   string // "" means that nothing is wrong
	}{
		"nothing":              {func([]byte) {}, ""},
		"an unused page":       {func(b []byte) { clear(b[at(pageUnused):]) }, ""},
		"the first is newer":   {func(b []byte) { putMeta(b, 0, 8, pageRoot); putMeta(b, 1, 7, 99) }, ""},
		"the newer leads away": {func(b []byte) { putMeta(b, 1, 7, 99) }, "page 99 of 8"},
		"page sizes differ": {func(b []byte) {
			meta := b[testPage+pageHead:]
			order.PutUint32(meta[8:], 2*testPage)
			sign(meta)
		}, "the headers differ"},
		"an odd page size": {func(b []byte) {
			meta := b[pageHead:]
			order.PutUint32(meta[8:], testPage+1)
			sign(meta)
		}, "checksum"},
		"another magic": {func(b []byte) {
			meta := b[pageHead:]
			order.PutUint32(meta, boltMagic+1)
			sign(meta)
		}, "checksum"},
		"more pages than bytes": {func(b []byte) {
			meta := b[testPage+pageHead:]
			order.PutUint64(meta[40:], testPages+1)
			sign(meta)
		}, "8192 bytes, and should have 9 pages"},

		"free: a page in use":   {func(b []byte) { order.PutUint64(b[at(pageFree)+pageHead:], pageCD) }, "page 6 is used twice"},
		"free: a header":        {func(b []byte) { order.PutUint64(b[at(pageFree)+pageHead:], 1) }, "page 1 is used twice"},
		"free: no page":         {func(b []byte) { order.PutUint64(b[at(pageFree)+pageHead:], testPages) }, "page 8 is used twice, or there is none"},
		"free: another kind":    {func(b []byte) { putHead(b[at(pageFree):], pageFree, kindLeaf, 1, 0) }, "free pages is of kind 0x2"},
		"free: too many":        {func(b []byte) { putHead(b[at(pageFree):], pageFree, kindFreelist, 127, 0) }, "has 127 of them"},
		"free: far too many":    {func(b []byte) { putHead(b[at(pageFree):], pageFree, kindFreelist, 0xFFFF, 0) }, "used twice"},
		"page: another's id":    {func(b []byte) { putHead(b[at(pageAB):], pageCD, kindLeaf, 2, 0) }, "says that it is page 6"},
		"page: goes on outside": {func(b []byte) { putHead(b[at(pageCD):], pageCD, kindLeaf, 2, 2) }, "has 2 more"},
		"page: goes on for ever": {func(b []byte) {
			putHead(b[at(pageCD):], pageCD, kindLeaf, 2, 1<<32-1)
		}, "has 4294967295 more"},
		"page: goes on in another": {func(b []byte) { putHead(b[at(pageAB):], pageAB, kindLeaf, 2, 1) }, "page 6 is used twice"},
		"tree: of another kind":    {func(b []byte) { putHead(b[at(pageAB):], pageAB, kindMeta, 2, 0) }, "of a tree is of kind 0x4"},
		"tree: a circle":           {func(b []byte) { order.PutUint64(b[at(pageBranch)+pageHead+8:], pageBranch) }, "page 4 is used twice"},
		"tree: one leaf twice":     {func(b []byte) { order.PutUint64(b[at(pageBranch)+secondElem+8:], pageAB) }, "page 5 is used twice"},
		"branch: empty":            {func(b []byte) { putHead(b[at(pageBranch):], pageBranch, kindBranch, 0, 0) }, "leads nowhere"},
		"branch: too many":         {func(b []byte) { putHead(b[at(pageBranch):], pageBranch, kindBranch, 64, 0) }, "page 4"},
		"branch: key outside":      {func(b []byte) { order.PutUint32(b[at(pageBranch)+pageHead:], testPage) }, "page 4, entry 0 ends outside"},
		"branch: keys swapped": {func(b []byte) {
			putEntries(b[at(pageBranch):], pageBranch, kindBranch, entry{key: "c", child: pageAB}, entry{key: "a", child: pageCD})
		}, "page 4, entry 1 is out of order"},
		"leaf: key before its range": {func(b []byte) { leafOf(b[at(pageCD):], pageCD, "b", "d") }, "page 6, entry 0 is out of order"},
		"leaf: key after its range":  {func(b []byte) { leafOf(b[at(pageAB):], pageAB, "a", "c") }, "page 5, entry 1 is out of order"},
		"leaf: keys swapped":         {func(b []byte) { leafOf(b[at(pageCD):], pageCD, "d", "c") }, "page 6, entry 1 is out of order"},
		"leaf: a key twice":          {func(b []byte) { leafOf(b[at(pageCD):], pageCD, "c", "c") }, "page 6, entry 1 is out of order"},
		"leaf: flags":                {func(b []byte) { order.PutUint32(b[at(pageAB)+pageHead:], 2) }, "entry 0 has flags 0x2"},
		"leaf: value outside":        {func(b []byte) { order.PutUint32(b[at(pageAB)+pageHead+12:], testPage) }, "page 5, entry 0 ends outside"},
		"leaf: sizes that overflow": {func(b []byte) {
			order.PutUint32(b[at(pageAB)+pageHead+4:], 1<<32-1)
			order.PutUint32(b[at(pageAB)+pageHead+8:], 1<<32-1)
		}, "page 5, entry 0 ends outside"},
		"leaf: entries past the page": {func(b []byte) {
			clear(b[at(pageAB):at(pageCD)])
			for i := range 63 { // entry by entry in order, and then no room
				order.PutUint32(b[at(pageAB)+pageHead+i*elemSize+4:], uint32(64*elemSize-pageHead-i*elemSize))
			}
			putHead(b[at(pageAB):], pageAB, kindLeaf, 64, 0)
		}, "page 5"},
		"bucket: too short":       {func(b []byte) { root(b, treeAt(pageBranch)[:8], inPlace()) }, "a bucket of 8 bytes"},
		"bucket: nothing in it":   {func(b []byte) { root(b, treeAt(pageBranch), inPlace()[:bucketHead]) }, "a bucket that is no leaf"},
		"bucket: no leaf":         {func(b []byte) { p := inPlace(); p[bucketHead+8] = kindBranch; root(b, treeAt(pageBranch), p) }, "a bucket that is no leaf"},
		"bucket: no room for two": {func(b []byte) { root(b, treeAt(pageBranch), inPlace()[:bucketHead+pageHead+elemSize]) }, "page 3"},
		"bucket: no tree":         {func(b []byte) { root(b, treeAt(testPages), inPlace()) }, "page 8 of 8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := byHand()
			test.change(b)
			err := checkFile(bytes.NewReader(b), int64(len(b)))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("checkFile: %v, want nothing", err)
			case test.want != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(fmt.Sprint(err), test.want)):
				t.Errorf("checkFile: %v, want ErrDamaged because %q", err, test.want)
			}
		})
	}
	t.Run("one entry too many", func(t *testing.T) {
		t.Parallel()
		if _, err := element(make([]byte, pageHead+elemSize), 5, 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("element: %v, want ErrDamaged", err)
		}
	})
	t.Run("a file that cannot be read", func(t *testing.T) {
		t.Parallel()
		b := byHand()
		for n := range testPages { // whichever page the reader fails at
			if err := checkFile(failing{bytes.NewReader(b), int64(at(n))}, int64(len(b))); n < pageUnused && !errors.Is(err, errDisk) {
				t.Errorf("page %d: %v, want the reader's error", n, err)
			}
		}
	})
}

var errDisk = errors.New("input/output error")

// failing is a file with a bad block.
type failing struct {
	file *bytes.Reader
	bad  int64
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at <= f.bad && f.bad < at+int64(len(b)) {
		return 0, errDisk
	}
	return f.file.ReadAt(b, at)
}
