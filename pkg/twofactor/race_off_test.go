//go:build !race

package twofactor

const raceDetector = false
