package memory

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/linuxguard/linuxguard-bridge/bridge/queue/queuetest"
)

// mutationVariable names the environment variable that says how the engine of TestMutant is wrong.
const mutationVariable = "QUEUETEST_MUTATION"

// mutant is the wrong engine that TestMutations wants to see fail.
func mutant(t *testing.T) queuetest.Engine {
	wrong := Mutation(os.Getenv(mutationVariable))
	if wrong == "" {
		t.Skip("runs as a child of TestMutations")
	}
	return engine(wrong)
}

// model stands for the model among the names of the suite's tests.
const model = "model"

func TestMutant(t *testing.T) { queuetest.Run(t, mutant(t)) }

func TestMutantModel(t *testing.T) { queuetest.RunModel(t, mutant(t)) }

// TestMutations shows that the suite finds what is wrong: each of these tests fails for its mutation. The model is named
// where it finds it soon, whatever it draws.
func TestMutations(t *testing.T) {
	t.Parallel()
	for wrong, tests := range map[Mutation]string{
		answersBeforeSync: "KillBetweenSteps KillUnderLoad ProgressRidesAlong " + model,
		failsHalf:         "FailedWrite",
		sharesNothing:     "StalledDuplicates",
		forgetsCursors:    "CursorsSurvive AdvanceBounds " + model,
		givesTwice:        "CursorsSurvive " + model,
		forgetsItems:      "DeadLetters Verdicts " + model,
		forgetsDeliveries: "Verdicts ReusedDeliveryID " + model,
		forgetsEvicted:    "Evicted ClockAhead",
		forgetsOutcomes:   "Outcomes OutcomeTimes DropOldest " + model,
		forgetsNotes:      "EveryField " + model,
		forgetsResends:    "ResendRepeated KillBetweenSteps " + model,
		forgetsAccepted:   "LastAccepted " + model,
		keepsGeneration:   "Generation " + model,
		opensTwice:        "OpenTwice",
		dropsInVain:       "DropOldestInVain",
		dropsOthers:       "DropOldestKeepsOthers DropOldestInVain",
		hidesGaps:         "DropOldest ReadDone " + model,
		sharesQuarantine:  "OutputsAllowance ReceiversAllowance",
		refusesTwice:      "Refusals OutputsAllowance " + model,
		resendsTwice:      "ResendRepeated Resend " + model,
		resendsToNobody:   "ResendToNobody " + model,
		countsResends:     "LastAccepted " + model,
		progressWaits:     "ProgressRidesAlong ProgressAlone KillBetweenSteps " + model,
		droppedWins:       "DropOldestAndDelivered",
		cursorsMoveBack:   "AdvanceBounds DropOldestAndDelivered " + model,
		advancesBeyond:    "AdvanceBounds " + model,
		evictsSilently:    "Evicted LoweredCapacity LookupsKeepAge",
		expiresSilently:   "ClockAhead",
		refreshes:         "LookupsKeepAge WindowExpires",
		boundsReuses:      "ReusedDeliveryID",
		startsNow:         "DeclareNew DeclareFirst " + model,
		startsAtOldest:    "DeclareNew DeclareFirst " + model,
		removedHoldsBack:  "RemovedOutput RemovedWhileStopped " + model,
		removedIsSilent:   "RemovedOutput RemovedWhileStopped " + model,
		ownsTwice:         "Claim Roles",
		tenureLivesOn:     "Replay RemovedOutput ReadAfterTheEnd " + model,
		neverWakes:        "ReadWaits",
		readsTooMuch:      "ReadLimits Range",
		refusesKnown:      "Full " + model,
		mixesEndpoints:    "Verdicts " + model,
		roundsDown:        "OutcomeTimes " + model,
		keepsOutcomes:     "OutcomesExpire",
		reusesItemIDs:     "DropDeadLetter " + model,
		releaseForgets:    "ProgressOnRelease",
		splitsRefusals:    "OutputsAllowance",
	} {
		names := strings.Fields(tests)
		out := startMutant(t, wrong, names)
		t.Run(string(wrong), func(t *testing.T) {
			t.Parallel()
			expectFailures(t, <-out, names)
		})
	}
}

func expectFailures(t *testing.T, out string, names []string) {
	t.Helper()
	for _, name := range names {
		failed := "--- FAIL: TestMutant/" + name + " ("
		if name == model {
			failed = "--- FAIL: TestMutantModel ("
		}
		if !strings.Contains(out, failed) {
			t.Errorf("%s passes:\n%s", name, out)
		}
	}
	if strings.Contains(out, "panic:") || strings.Contains(out, "DATA RACE") {
		t.Errorf("it fails for another reason:\n%s", out)
	}
}

// children bounds how many mutants run at a time. They mostly wait for what doesn't come.
var children = make(chan struct{}, 8)

// startMutant runs tests of the suite, and the model, on a wrong engine in a process of its own. The channel gets what it says.
func startMutant(t *testing.T, wrong Mutation, names []string) <-chan string {
	t.Helper()
	tests := "TestMutant"
	if slices.Contains(names, model) {
		tests += "|TestMutantModel"
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=2m", "-test.run=^("+tests+")$/^("+strings.Join(names, "|")+")$",
		"-rapid.nofailfile", "-rapid.shrinktime=1ms", "-rapid.seed=1") // what it draws must not decide whether a mutation is found
	c.Env = append(os.Environ(), mutationVariable+"="+string(wrong), queuetest.PatienceVariable+"=1s", queuetest.LongVariable+"=")
	out := make(chan string, 1)
	go func() {
		children <- struct{}{}
		defer func() { <-children }()
		text, err := c.CombinedOutput()
		out <- fmt.Sprintf("%s\n%v\n", text, err)
	}()
	return out
}
