#include "store/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <future>
#include <memory>
#include <vector>

namespace touchpoint::store {
namespace {

TEST(Worker, RunsJobsInOrderOnItsOwnNamedThread) {
    std::vector<int> order;
    std::string name;
    {
        Worker worker("a-name-longer-than-linux-takes");
        for (int i = 0; i < 100; ++i) EXPECT_TRUE(worker.post([&order, i] { order.push_back(i); }));
        EXPECT_TRUE(worker.post([&name] {
            char text[32]{};
            pthread_getname_np(pthread_self(), text, sizeof text);
            name = text;
        }));
    }  // runs what is queued, then ends
    ASSERT_EQ(order.size(), 100U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(name, "a-name-longer-t");
}

TEST(Worker, AFullQueueSaysSo) {
    std::promise<void> open_gate;
    const std::shared_future<void> gate = open_gate.get_future().share();
    std::promise<void> begun;
    std::size_t taken = 0;
    std::size_t ran = 0;
    {
        Worker worker("reader");
        worker.post([&] {
            begun.set_value();
            gate.wait();
        });
        begun.get_future().wait();
        while (taken <= Worker::queue_max && worker.post([&ran] { ++ran; })) ++taken;
        EXPECT_EQ(taken, Worker::queue_max);
        open_gate.set_value();
    }
    EXPECT_EQ(ran, taken);
}

TEST(Worker, WhatAJobHoldsIsReleasedWhenItHasRun) {
    Worker worker("reader");
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    worker.post([held = std::move(held)] {});
    std::promise<bool> gone;
    worker.post([&] { gone.set_value(watched.expired()); });
    EXPECT_TRUE(gone.get_future().get());
}

}  // namespace
}  // namespace touchpoint::store
