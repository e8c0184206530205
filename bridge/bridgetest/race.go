//go:build race

package bridgetest

const raceDetector = true
