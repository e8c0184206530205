package splunkhec

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/linuxguard/linuxguard-bridge/outputs"
)

// unexpectedAnswers counts answers of 2xx that don't say that events were taken. Each may stand for events that were, so that posting them again
// and again fills the index of a collector that just answers otherwise.
type unexpectedAnswers struct {
	inARow atomic.Int32
	skip   atomic.Int32 // attempts before the next post
}

// maxUnexpected is how many posts are answered so before others may be tried only after a look at the health page, and ever more seldom.
const maxUnexpected = 3

func (a *unexpectedAnswers) came() {
	if n := a.inARow.Add(1); n > maxUnexpected {
		a.skip.Store(1 << min(n-maxUnexpected-1, 6))
	}
}

func (a *unexpectedAnswers) ended() {
	if a.inARow.Load() != 0 {
		a.inARow.Store(0)
		a.skip.Store(0)
	}
}

var errUnexpected = errors.New("it answers 2xx without HEC's code, so it is not known whether events were taken; nothing more is posted for now. " +
	`If it is a compatible collector that answers so, set success = "status"; else see what stands between`)

// mayPost returns an error while e has given too many unexpected answers.
func (o *Output) mayPost(ctx context.Context, e *collector) error {
	if e.unexpected.inARow.Load() < maxUnexpected {
		return nil
	}
	if e.unexpected.skip.Load() > 0 {
		e.unexpected.skip.Add(-1)
		return &outputs.BlockedError{Err: o.collectorError(e, errUnexpected)}
	}
	s := o.newSession(&lane{out: o, collector: e}, o.env.Now())
	defer s.disconnect()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	ans, _, err := s.do(ctx, http.MethodGet, e.healthURL, nil, maxAnswer)
	switch {
	case err != nil:
		return o.connectionError(e, err)
	case ans.status != http.StatusOK || !ans.isHEC:
		return &outputs.BlockedError{Err: o.collectorError(e, fmt.Errorf("%w (its health page answers %s)", errUnexpected, &ans))}
	}
	return nil
}
