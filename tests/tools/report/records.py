"""A small record of each kind, as its measuring command writes it; the figures are made up."""

from prior.skeleton import LANDMARKS

ALIGNED = ("root", "root, known scale", "mean", "mean, known scale", "Procrustes")


def stamp(module):
    """What tools.measured.stamp writes of python -m `module`."""
    return {
        "command": f"python -m {module} --out 'build/a b.json'",
        "date": "2017-07-21",
        "commit": "0123456789",
        "machine": "An Abacus",
        "cores": 2,
    }


def _speed(factor):
    return {
        "poses_per_second": {"best": 20000.0 * factor, "median": 10000.0 * factor},
        "floor_poses_per_second": {"best": 40000.0, "median": 30000.0, "shape": 256},
        "times_the_floor": 2.0 / factor,
        "one_pose_ms": {"p50": 0.125, "p99": 0.5},
        "vjp_times_lift": 0.25,
        "twin_poses_per_second": 4.0,
    }


def _errors(first):
    return {name: first + i for i, name in enumerate(ALIGNED)}


def _calibration():
    shares = {"in 50 %": 0.4, "in 90 %": 0.8, "rms deviation mm": 30.0}
    return {"rms error mm": 40.0, "given": shares, "spread": shares}


def _network(ms, **more):
    train = {"batch": 8, "iteration_ms": ms, "forward_ms": ms / 4, "backward_ms": 3 * ms / 4}
    shares = {"python_share": 0.0125, "data_share": 0.025}
    return {"train": train | shares, "deploy": {"forward_ms": ms / 5}} | more


def _on_gpu(ms):
    """Both in batches of 16, iterations waited for and as they come."""
    train = {"batch": 16, "whole_ms": ms, "memory_mib": 2048}
    shares = {"python_share": 0.125, "data_share": 0.025}
    return {"train": train | shares, "deploy": {"whole_ms": ms / 4}}


def _evaluated(mm, **more):
    return {
        "error_2d_px": 11.25,
        "pckh": 0.5,
        "pckh_0.2_by_stage": [0.1, 0.2],
        "mpjpe_mm": mm,
        "errors_3d_mm": {"procrustes": mm / 2},
        "error_2d_px_by_landmark": {name: 10.0 for name in LANDMARKS},
        "error_2d_px_by_action": {"punch": 11.0},
        "mpjpe_mm_by_action": {"punch": mm},
    } | more


def _studied(px):
    return {
        "2D px": px,
        "2D px by stage": [[9.0, 8.0]] * len(px),
        "before the fusion": [None] * len(px),
        "PCKh@0.5 %": [50.0] * len(px),
        "3D mm": [100.0] * len(px),
        "3D mm, Procrustes": [80.0] * len(px),
        "3D mm, of its own lifting": [110.0] * len(px),
        "w by stage": [[0.5, 0.25]] * len(px),
    }


RECORDS = {
    "demo": {
        "measured": stamp("tools.report"),
        "data": "rendered, not Human3.6M",
        "test_images": 3,
        "subjects": ["S9"],
        "actions": ["punch"],
        "mean_pose_mpjpe_mm": 200.0,
        "true_2d_mpjpe_mm": 50.0,
        "cpm": _evaluated(150.0),
        "lifting": _evaluated(
            100.0,
            fusion_weight_by_stage=[0.5, 0.25],
            side_distance_px=20.0,
            true_side_distance_px=30.0,
            network_mpjpe_mm=110.0,
        ),
        "weighed": _evaluated(90.0, network_mpjpe_mm=95.0),
        "steps": [{"name": "data", "seconds": 2.5, "peak_memory_mb": 300}],
    },
    "feed": {
        "measured": stamp("tools.bench.feed"),
        "load": 3.2,
        "batch": 8,
        "rounds": 3,
        "images": 32,
        "side_px": 900.0,
        "jpeg_kb": 225.0,
        "rates": [
            {
                "workers": 1,
                "images_per_second": 80.0,
                "decoded_per_second": 100.0,
                "cpu_ms": 12.5,
                "decoding_cpu_ms": 10.0,
                "share_of_floor": 0.8,
            }
        ],
    },
    "evaluation": {
        "measured": stamp("tools.bench.evaluation"),
        "load": 0.4,
        "network": "lite/lifting",
        "gpu": None,
        "images": 64,
        "rounds": 3,
        "rates": [
            {"views": views, "batch": batch, "workers": workers, "images_per_second": speed}
            | {"cpu_ms": spent}
            for views, batch, workers, speed, spent in (
                ("one scale", 1, 0, 20.0, 50.0),
                ("one scale", 8, 1, 30.0, 40.0),
            )
        ],
    },
    "ablations": {
        "measured": stamp("tools.bench.ablations"),
        "data": "test.json",
        "human36m": False,
        "prior": "build/prior.npz",
        "mocap": [],
        "rows": [
            {
                "group": "rotations",
                "setting": "80",
                "frames": 20,
                "not_lifted": 0,
                "components": 3,
                "root_aligned_mm": 90.5,
                "procrustes_14_mm": 45.25,
                "ms_per_pose": 0.5,
            }
        ],
    },
    "lift-accuracy": {
        "measured": stamp("tools.bench.lift_accuracy"),
        "clips": 5,
        "training_poses": 4000,
        "held_out_poses": 1000,
        "camera_elevation_deg": [6.2, 15.3],
        "errors_mm": {"0 px": {"ridge": _errors(60.0), "lifted, K = 3": _errors(50.0)}},
        "rotations_5px_mm": {"20 refined": _errors(70.0)},
        "tilt_5px_mm": {
            "10 degrees": {
                "known": _errors(51.0),
                "taken as level": _errors(61.0),
                "searched": _errors(71.0),
                "median error of the elevation found, degrees": 2.5,
            }
        },
        "calibration": {"0 px, noise_mm 20": _calibration()},
        "noise_mm_on_training_clips": {"20": {"0 px": _errors(80.0), "5 px": _errors(90.0)}},
    },
    "lift-ways": {
        "measured": stamp("tools.bench.lift_ways"),
        "training_poses": 5000,
        "held_out_poses": 1000,
        "rows": [
            {
                "components": 3,
                "noise_px": px,
                "way": "as published",
                "noise_mm": 0.0,
                "outliers": wrong,
                "errors_mm": _errors(30.0 + px + 100 * wrong),
                "poses_per_second": 1234.5,
            }
            for px, wrong in ((0, 0.0), (5, 0.0), (5, 0.05))
        ],
        "robust_on_training_poses": [
            {"freedom": 4.0, "doubt": doubt, "errors_mm": _errors(doubt)} for doubt in (9.0, 12.0)
        ],
    },
    "tracks": {
        "measured": stamp("tools.bench.tracks"),
        "held_out_clips": 20,
        "held_out_frames": 2000,
        "rows": [
            {
                "components": 3,
                "noise_px": px,
                "way": "frame by frame",
                "flips_per_100_frames": 2.5,
                "errors_mm": _errors(30.0 + px),
                "frames_per_second": 123.4,
            }
            for px in (0, 5)
        ],
    },
    "lift": {
        "measured": stamp("tools.bench.lift"),
        "threads": 2,
        "rotations": 80,
        "basis": 25,
        "poses": 65536,
        "models": {"K = 1": _speed(2), "K = 3": _speed(1)},
    },
    "readers": {
        "measured": stamp("tests.reader_speed"),
        "frames": 10000,
        "formats": [
            {
                "format": "openpose",
                "people": 3,
                "read_s": 1.25,
                "whole_s": 2.0,
                "frames_per_second": 5000.0,
            }
        ],
    },
    "prior": {
        "measured": stamp("tools.bench.prior"),
        "tiled_from": "5000 poses of 20 clips",
        "noise_mm": 10.0,
        "fits": [
            {
                "solver": "closed-form",
                "poses": 1_000_000,
                "components": 3,
                "basis": 25,
                "seconds": 90.5,
                "alignment_seconds": 60.25,
                "em_seconds": 30.25,
                "rotation_half_steps": 40,
                "rotation_half_steps_of_all": 4,
                "em_iterations": 50,
                "em_iterations_of_all": 5,
                "us_per_pose_and_half_step": 1.5,
                "ratio_to_floor": 3.25,
                "peak_memory_mb": 2048.5,
                "nll": -123.456,
                "worse_minima_last": None,
            }
        ],
    },
    "ready-prior": {
        "measured": stamp("tools.bench.ready_prior"),
        "subjects": ["05", "08"],
        "poses": {"all": 100, "sit": 40},
        "rows": [
            {
                "model": model,
                "lens": "known",
                "errors": {
                    "all": {"mpjpe_mm": 60.0, "pa_mpjpe_mm": 50.0},
                    "sit": {"mpjpe_mm": mpjpe, "pa_mpjpe_mm": aligned},
                },
            }
            for model, mpjpe, aligned in (("old", 61.5, 51.0), ("new", 55.0, 44.5))
        ],
    },
    "oracle": {
        "measured": stamp("tools.bench.oracle"),
        "poses": 300,
        "rows": [
            {
                "model": "new",
                "lifted": 55.0,
                "component told": 50.5,
                "component and rotation told": 45.0,
                "depths told": 12.5,
            }
        ],
    },
    "cluster": {
        "measured": stamp("tools.bench.cluster"),
        "size_mb": 200.0,
        "same_bytes": True,
        "runs": [
            {
                "way": way,
                "poses": 1_000_000,
                "seconds": seconds,
                "cores": 2,
                "memory_mb": 300.0,
                "passes": [
                    {"chunks": 10, "waited": 20.0, "merged": 0.1, "received": 2048, "sent": 4096}
                ],
            }
            for way, seconds in (("alone", 30.0), ("local:2", 40.0))
        ],
    },
    "study-prior": {
        "measured": stamp("tools.bench.study_prior"),
        "basis": 25,
        "sets": [
            {
                "set": "Somebody's clips",
                "poses": 1234,
                "clips": 20,
                "ways": [
                    {
                        "way": "Ceres",
                        "nll": -100.5,
                        "above_first": 0.25,
                        "half_steps": 60,
                        "other_yaw": 0.125,
                        "other_valley": {"start": 7, "end": 2},
                        "worse_minima": {"most": 9, "last": 3},
                        "seconds": 12.5,
                    }
                ],
            }
        ],
    },
    "network": {
        "measured": stamp("tools.bench.network"),
        "cores_used": 2,
        "rounds": 3,
        "networks": {
            "lite/cpm": _network(400.0, opencv={"forward_ms": 70.0}),
            "lite/lifting": _network(500.0),
        },
    },
    "network-gpu": {
        "measured": stamp("tools.bench.network"),
        "gpu": "NVIDIA Abacus",
        "caffe": "caffe-gpu",
        "rounds": 3,
        "networks": {"cpm": _on_gpu(400.0), "lifting": _on_gpu(500.0)},
    },
    "study-network": {
        "measured": stamp("tools.bench.study_network"),
        "iterations": 800,
        "seeds": [1, 2],
        "variants": {"CPM alone": _studied([13.0, 15.0]), "the paper's": _studied([10.0, 11.0])},
    },
}
