// Package web is what runs in a browser. To Go it is the pages of nightlatch dev, as vite leaves them in dist/.
package web

import (
	"embed"
	"io/fs"
)

// What is built is not in git. The .keep there is, so that a tree in which nothing was built compiles as well.
//
//go:embed all:dist
var dist embed.FS

// Pages are the pages of nightlatch dev: index.html, and what it loads in assets/, under names that change with their
// content. There is no index.html where `make dev` or `make build` has not built them.
func Pages() fs.FS {
	pages, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant, and a valid one
	}
	return pages
}
