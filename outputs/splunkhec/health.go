package splunkhec

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// healthTimeout bounds one health check.
const healthTimeout = 10 * time.Second

// checkHealth asks e in the background whether it works again, and tells the pool.
func (o *Output) checkHealth(e *collector) {
	o.wg.Go(func() {
		ctx, cancel := context.WithTimeout(o.closing, healthTimeout)
		defer cancel()
		err := o.askHealth(ctx, e)
		if err != nil {
			err = o.collectorError(e, err)
		}
		o.pool.checked(e, err)
	})
}

// askHealth returns nil when e says that it works, or says nothing about that: a load balancer may not pass the
// page on, and the next request will show it.
func (o *Output) askHealth(ctx context.Context, e *collector) error {
	s := o.newSession(&lane{out: o, collector: e}, o.env.Now())
	defer s.disconnect()
	ans, _, err := s.do(ctx, http.MethodGet, e.healthURL, nil, maxAnswer)
	if err != nil {
		return withoutURL(err)
	}
	if ans.status >= 500 || ans.status == http.StatusTooManyRequests || ans.code == 21 || ans.code == 22 {
		return fmt.Errorf("health: %w", ans.err())
	}
	return nil
}
