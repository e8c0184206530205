//go:build !race

package bridgetest

const raceDetector = false
