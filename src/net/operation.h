#pragma once

// What a stream asks of the kernel: in the form that the event back end has, which this file was compiled for.

#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring_operation.h"
#include "net/ring_receiver.h"
#else
#include "net/reactor_operation.h"
#endif
