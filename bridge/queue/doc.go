// Package queue makes events durable and remembers which deliveries were seen.
package queue
